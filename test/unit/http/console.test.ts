/** @file `/console`: its files, their headers, and what a browser keeps of them. */

import { gunzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { readConsole } from '#console'
import { testApp } from '../../support/http-app.ts'

const files = await readConsole()
const app = testApp({ consoleFiles: files })
afterAll(() => app.close())

test.each(files.map(({ path }) => path))('%s is sent whole, compressed, or not again', async (path) => {
  const plain = await app.inject({ url: path })
  expect(plain.statusCode).toBe(200)
  expect(plain.headers['content-security-policy']).toMatch(/^default-src 'none'; /)
  expect(plain.headers['content-security-policy']).not.toMatch(/unsafe|data:|https?:/)
  expect(plain.headers).toMatchObject({ 'cache-control': 'no-cache', vary: 'accept-encoding' })
  const headers = { 'accept-encoding': 'br, gzip' }
  const packed = await app.inject({ url: path, headers })
  expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip', etag: plain.headers.etag })
  expect(gunzipSync(packed.rawPayload)).toEqual(plain.rawPayload)
  expect(packed.headers['content-type']).toBe(plain.headers['content-type'])
  // Two encodings have no strong validator in common (RFC 9110, section 8.8.3.3).
  expect(plain.headers.etag).toMatch(/^W\/"[\w-]+"$/)
  const known = await app.inject({
    url: path,
    headers: { ...headers, 'if-none-match': `"other", ${plain.headers.etag}` },
  })
  expect(known.statusCode).toBe(304)
  expect(known.rawPayload.length).toBe(0)
  const refused = await app.inject({ url: path, headers: { 'accept-encoding': 'gzip;q=0, identity' } })
  expect(refused.headers['content-encoding']).toBeUndefined()
  expect((await app.inject({ url: path, method: 'POST', payload: {} })).statusCode).toBe(405)
})

test.each(files.map(({ path }) => path))('HEAD of %s has the headers of GET', async (path) => {
  for (const encoding of ['identity', 'gzip']) {
    const headers = { 'accept-encoding': encoding }
    const [get, head] = [
      await app.inject({ url: path, headers }),
      await app.inject({ method: 'HEAD', url: path, headers }),
    ]
    expect(head.rawPayload.length).toBe(0)
    expect(Number(head.headers['content-length'])).toBe(get.rawPayload.length)
    expect(head.headers['content-encoding']).toBe(get.headers['content-encoding'])
    expect(head.headers.etag).toBe(get.headers.etag)
    // RFC 9110, section 8.6: a 304 states the length of the 200, or none.
    const known = { ...headers, 'if-none-match': get.headers.etag }
    for (const method of ['GET', 'HEAD'] as const) {
      const unchanged = await app.inject({ method, url: path, headers: known })
      expect(unchanged.statusCode).toBe(304)
      expect(unchanged.headers['content-length']).toBeUndefined()
    }
  }
})

test('the page names no other server and nothing inline', () => {
  const html = files.find(({ path }) => path === '/console')?.body.toString() ?? ''
  expect(html).toContain('console/console.js')
  expect(html).not.toMatch(/https?:|<style|\son\w+=|style=|<script(?![^>]* src=)/)
})

test('a cache keeps what pages of other origins may read apart from the rest', async () => {
  await using shared = testApp({ consoleFiles: files, corsOrigins: ['https://page.example'] })
  const { headers } = await shared.inject({ url: '/console', headers: { origin: 'https://page.example' } })
  expect(headers).toMatchObject({
    'access-control-allow-origin': 'https://page.example',
    vary: 'Origin, accept-encoding',
  })
})

test('/console/ leads to /console; without files there is no console', async () => {
  const answer = await app.inject('/console/')
  expect([answer.statusCode, answer.headers.location]).toEqual([308, '../console'])
  await using without = testApp()
  expect((await without.inject('/console')).statusCode).toBe(404)
})
