/** @file The port of the worker: its `Host` and its keys are checked as those of the API. */

import { afterAll, expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { createAuthenticator, type Scope } from '#keys'
import { startWorkerServer } from '../../src/worker-server.ts'
import { exchange, parse } from '../support/raw-http.ts'

let anyKeys = false
let isDown = false
const server = await startWorkerServer({
  host: '127.0.0.1',
  port: 0,
  database: { check: async () => 'up' },
  queues: () => ({ ping: async () => {} }),
  expose: async () => ({ contentType: 'text/plain', text: '# figures' }),
  allowedHosts: ['worker'],
  authenticate: createAuthenticator({
    allowAnonymous: true,
    clock: Date.now,
    store: {
      async find(hash) {
        if (isDown) throw new ServiceError('STORE_UNAVAILABLE', 'find key: down')
        const scopes: readonly Scope[] = ['metrics']
        const isKnown = hash !== null && anyKeys
        const found = { id: 'prometheus', tenantId: 'ops', scopes, rate: null, tokens: null }
        return { found: isKnown ? found : null, anyKeys }
      },
    },
  }),
})
afterAll(() => server.close())

const statusFor = async (host: string | null, path = '/livez') => {
  const line =
    host === null
      ? `GET ${path} HTTP/1.0\r\n\r\n`
      : `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  return parse(await exchange(Number(new URL(server.origin).port), line)).status
}

test.each(['127.0.0.1:9', 'localhost', '[::1]', 'worker:8081', null])(
  'answers for the host %s',
  async (host) => {
    expect(await statusFor(host)).toBe(200)
  },
)

test.each(['evil.example', '10.0.0.5', 'worker.evil.example', 'a b'])('refuses the host %s', async (host) => {
  for (const path of ['/livez', '/readyz', '/metrics', '/nowhere'])
    expect(await statusFor(host, path)).toBe(421)
})

test('/metrics needs a key once there is one; health needs none', async () => {
  const get = (path: string, headers = {}) => fetch(`${server.origin}${path}`, { headers })
  expect((await get('/metrics')).status).toBe(200)
  anyKeys = true
  const keyed = await get('/metrics', { authorization: 'Bearer right' })
  expect([keyed.status, await keyed.text()]).toEqual([200, '# figures'])
  const none = await get('/metrics')
  expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
  expect(await none.json()).toMatchObject({ code: 'KEY_INVALID' })
  expect((await get('/livez')).status).toBe(200)
  isDown = true
  expect((await get('/metrics', { authorization: 'Bearer new' })).status).toBe(503)
})
