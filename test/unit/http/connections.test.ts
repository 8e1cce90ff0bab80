/** @file The limit on connections, and the header set of every response. */

import { createServer } from 'node:http'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '#http'
import { limitConnections } from '../../../src/http/connections.ts'
import { listen, QUESTION, unverifiedApp } from '../../support/http-app.ts'
import { exchange, open, parse } from '../../support/raw-http.ts'

const lines: string[] = []
const logger = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) })
const app = unverifiedApp({ logger, limits: { maxConnections: 3 } })
let port = 0
beforeAll(async () => {
  port = (await listen(app)).port
})
afterAll(() => app.close())

test('closes connections beyond the limit and logs it once', async () => {
  const idle = await Promise.all([open(port), open(port), open(port)])
  const request = 'GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n'
  expect([await exchange(port, request), await exchange(port, request)]).toEqual(['', ''])
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { maxConnections: 3, closed: 1, remoteAddress: '127.0.0.1', msg: expect.stringMatching(/too many/) },
  ])
  for (const socket of idle) socket.destroy()
  await expect.poll(async () => parse(await exchange(port, request)).status).toBe(200)
})

test('logs one line a minute while connections are closed', () => {
  const server = createServer()
  const warnings: unknown[] = []
  let now = 0
  limitConnections(server, 1, { warn: (details) => warnings.push(details) }, () => now)
  for (now of [0, 1, 59_999, 60_000, 60_001]) server.emit('drop')
  expect(warnings).toMatchObject([{ closed: 1 }, { closed: 3 }])
})

test('keeps idle connections longer than the 60 s of load balancers', () => {
  expect(DEFAULT_LIMITS.keepAliveTimeoutMs).toBeGreaterThan(65_000)
  expect(app.server.keepAliveTimeout).toBe(DEFAULT_LIMITS.keepAliveTimeoutMs)
})

test.each<[string, string, object?]>([
  ['GET', '/livez'],
  ['GET', '/episodes'],
  ['GET', '/nowhere'],
  ['GET', '/%zz'],
  ['POST', '/solve', { question: QUESTION }],
  ['POST', '/solve', {}],
  ['GET', '/openapi.yaml'],
])('%s %s has the default headers', async (method, url, payload) => {
  const response = await app.inject({ method: method as 'GET', url, ...(payload && { payload }) })
  expect(response.headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  })
})

test('an event stream has the default headers', async () => {
  const response = await app.inject({
    method: 'POST',
    url: '/solve',
    headers: { accept: 'text/event-stream' },
    payload: { question: QUESTION },
  })
  expect(response.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  })
})

test('/docs may load from this server only, cannot be framed, and needs no inline code', async () => {
  const page = await app.inject('/docs')
  expect(page.headers['content-security-policy']).toMatch(
    /default-src 'none';.* script-src 'self';.* frame-ancestors 'none';/,
  )
  expect(page.headers['content-security-policy']).not.toMatch(/unsafe|https?:|\*/)
  expect(page.body).not.toMatch(/<script>|<script(?![^>]*src=)|<style|style=|\son[a-z]+=/)
})
