/** @file Requests of foreign web pages are refused: DNS rebinding and cross-site request forgery. */

import type { InjectOptions } from 'fastify'
import { afterAll, describe, expect, test } from 'vitest'
import { ARTIFACT, EPISODE, QUESTION, scriptedSolver, unverifiedApp } from '../../support/http-app.ts'

const { solver, requests: solved } = scriptedSolver()
const NETWORK = { listenHost: '0.0.0.0', allowedHosts: ['circadian.example', 'api'] }
const apps = {
  loopback: unverifiedApp({ solver }),
  network: unverifiedApp({ hosts: NETWORK }),
  lan: unverifiedApp({ hosts: { listenHost: '192.168.1.7', allowedHosts: [] } }),
}
afterAll(() => Promise.all(Object.values(apps).map((app) => app.close())))

test.each([
  'localhost',
  'LOCALHOST:8080',
  'localhost.',
  '127.0.0.1:8080',
  '127.1.2.3',
  '[::1]:8080',
  '[::ffff:127.0.0.1]',
])('accepts Host %s by default', async (host) => {
  const response = await apps.loopback.inject({ url: '/episodes', headers: { host } })
  expect(response.statusCode).toBe(200)
})

test.each([
  'evil.example',
  'evil.example:8080',
  'localhost.evil.example',
  'evil.localhost',
  '127.0.0.1.evil.example',
  '10.0.0.5',
  '[fd00::1]:8080',
])('refuses Host %s by default, whatever the route', async (host) => {
  const requests: InjectOptions[] = [
    { url: '/episodes' },
    { url: '/livez' },
    { url: '/metrics' },
    { url: '/docs' },
    { method: 'DELETE', url: '/episodes' },
    { method: 'POST', url: '/solve', payload: { question: QUESTION } },
  ]
  for (const request of requests) {
    const response = await apps.loopback.inject({ ...request, headers: { host } })
    expect(response.statusCode, request.url as string).toBe(421)
    expect(response.json()).toMatchObject({ code: 'HOST_NOT_ALLOWED' })
  }
})

test.each([
  ['10.0.0.5:8080', 'network', 200],
  ['[fd00::1]:8080', 'network', 200],
  ['circadian.example', 'network', 200],
  ['API:8080', 'network', 200],
  ['localhost', 'network', 200],
  ['www.circadian.example', 'network', 421],
  ['evil.example', 'network', 421],
  ['192.168.1.7:8080', 'lan', 200],
  ['evil.example', 'lan', 421],
] as const)('Host %s on the %s is answered %i', async (host, place, status) => {
  const response = await apps[place].inject({ url: '/episodes', headers: { host } })
  expect(response.statusCode).toBe(status)
})

const unsafe: InjectOptions[] = [
  { method: 'POST', url: '/solve', payload: { question: QUESTION } },
  { method: 'POST', url: `/admin/artifacts/${ARTIFACT.id}/activate` },
  { method: 'POST', url: '/admin/consolidations', payload: {} },
  { method: 'POST', url: `/episodes/${EPISODE.id}/feedback`, payload: { correct: true } },
  { method: 'DELETE', url: `/episodes/${EPISODE.id}` },
  { method: 'DELETE', url: '/episodes' },
]

test.each<Record<string, string>>([
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { 'sec-fetch-site': 'unheard-of' },
  { origin: 'http://evil.example' },
  { origin: 'http://evil.example', 'sec-fetch-site': 'same-origin' },
  { origin: 'http://localhost:3000' },
  { origin: 'https://localhost.evil.example:8080' },
  { origin: 'chrome-extension://abcdefgh' },
  { origin: 'null' },
  { origin: 'nonsense' },
])('refuses unsafe methods with %j', async (headers) => {
  const app = apps.loopback
  for (const request of unsafe) {
    const response = await app.inject({ ...request, headers: { host: 'localhost:8080', ...headers } })
    expect(response.statusCode, request.url as string).toBe(403)
    expect(response.json()).toMatchObject({ code: 'ORIGIN_NOT_ALLOWED' })
  }
  expect(solved).toEqual([])
  expect((await app.inject(`/episodes/${EPISODE.id}`)).statusCode).toBe(200)
  const reading = await app.inject({ url: '/docs', headers: { host: 'localhost:8080', ...headers } })
  expect(reading.statusCode).toBe(200)
  expect(reading.headers).not.toHaveProperty('access-control-allow-origin')
})

test.each<[Record<string, string>]>([
  [{ host: 'localhost:8080', origin: 'http://localhost:8080', 'sec-fetch-site': 'same-origin' }],
  [{ host: '127.0.0.1:80', origin: 'http://127.0.0.1' }],
  [{ host: 'circadian.example', origin: 'https://circadian.example', 'sec-fetch-site': 'same-origin' }],
  // Behind a proxy that replaces Host.
  [{ host: '127.0.0.1:8080', origin: 'https://circadian.example:8443', 'sec-fetch-site': 'same-origin' }],
  [{ host: 'localhost:8080', 'sec-fetch-site': 'none' }],
  [{ host: 'localhost:8080' }],
])('serves unsafe methods with %j', async (headers) => {
  await using app = unverifiedApp({ hosts: NETWORK })
  for (const request of unsafe) {
    const response = await app.inject({ ...request, headers })
    expect(response.statusCode, request.url as string).toBeLessThan(300)
  }
})

describe('pages of CORS_ORIGINS', () => {
  const page = 'https://app.example'
  const app = unverifiedApp({ solver, corsOrigins: [page, 'http://localhost:3000'] })
  afterAll(() => app.close())
  const ask = (origin: string, request: InjectOptions = {}) =>
    app.inject({
      method: 'POST',
      url: '/solve',
      payload: { question: QUESTION },
      headers: { origin, 'sec-fetch-site': 'cross-site' },
      ...request,
    })
  const preflight = (origin: string) =>
    app.inject({
      method: 'OPTIONS',
      url: '/solve',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    })

  test('may ask, and read the answer, an error and a stream', async () => {
    const allowed = await preflight(page)
    expect(allowed.statusCode).toBe(204)
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': page,
      'access-control-allow-methods': 'GET, HEAD, POST, DELETE',
      'access-control-allow-headers': 'authorization,content-type',
    })
    const stream = { accept: 'text/event-stream', origin: page }
    for (const answer of [
      await ask(page),
      await ask(page, { payload: {} }),
      await ask(page, { url: '/nowhere' }),
      await ask(page, { headers: stream }),
    ]) {
      expect(answer.headers['access-control-allow-origin'], answer.body).toBe(page)
      expect(answer.headers['vary']).toBe('Origin')
      expect(answer.headers['access-control-expose-headers']).toContain('x-request-id')
    }
  })

  test.each(['https://evil.example', 'http://app.example', 'https://app.example:8443', 'null'])(
    'are not those of %s',
    async (origin) => {
      expect((await preflight(origin)).headers).not.toHaveProperty('access-control-allow-origin')
      const refused = await ask(origin)
      expect(refused.statusCode).toBe(403)
      expect(refused.headers).not.toHaveProperty('access-control-allow-origin')
      const read = await ask(origin, { method: 'GET', url: '/episodes' })
      expect(read.headers).not.toHaveProperty('access-control-allow-origin')
    },
  )

  test('do not open the server to other hosts, and hide no unknown path', async () => {
    const headers = { origin: page, host: 'evil.example' }
    expect((await ask(page, { headers })).statusCode).toBe(421)
    expect((await ask(page, { method: 'GET', url: '/nowhere' })).json()).toMatchObject({
      code: 'ROUTE_NOT_FOUND',
    })
    expect((await app.inject({ method: 'PUT', url: '/solve' })).headers['allow']).toBe('POST')
  })

  test('no header of CORS without the setting', async () => {
    const answer = await apps.loopback.inject({ url: '/episodes', headers: { origin: page } })
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  })
})
