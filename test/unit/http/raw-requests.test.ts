/** @file Bytes that no HTTP client would send, and requests that are sent too slowly. */

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listen, scriptedSolver, testApp } from '../../support/http-app.ts'
import { exchange, open, parse } from '../../support/raw-http.ts'

const { solver, requests } = scriptedSolver()
const limits = { headersTimeoutMs: 300, requestTimeoutMs: 600, keepAliveTimeoutMs: 200 }
const app = testApp({ solver, limits })
let port = 0
beforeAll(async () => {
  port = (await listen(app)).port
})
afterAll(() => app.close())

const HOST = 'host: localhost\r\n'

/** Rows of description, bytes, status and code. */
test.each<[string, string | Buffer, number, string]>([
  ['no HTTP', 'hello there\r\n\r\n', 400, 'REQUEST_INVALID'],
  ['TLS', Buffer.from('16030100c8010000c40303', 'hex'), 400, 'REQUEST_INVALID'],
  ['binary noise', Buffer.from([0, 1, 2, 255, 254, 13, 10, 13, 10]), 400, 'REQUEST_INVALID'],
  ['an unknown method', `BREW /solve HTTP/1.1\r\n${HOST}\r\n`, 400, 'REQUEST_INVALID'],
  ['a method in lower case', `get /livez HTTP/1.1\r\n${HOST}\r\n`, 400, 'REQUEST_INVALID'],
  ['HTTP/9.9', `GET /livez HTTP/9.9\r\n${HOST}\r\n`, 400, 'REQUEST_INVALID'],
  ['no host', 'GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'REQUEST_INVALID'],
  ['two hosts', `GET /livez HTTP/1.1\r\n${HOST}${HOST}connection: close\r\n\r\n`, 400, 'REQUEST_INVALID'],
  [
    'a host that is none',
    'GET /livez HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n',
    400,
    'REQUEST_INVALID',
  ],
  [
    'a host with a user',
    'GET /livez HTTP/1.1\r\nhost: localhost@evil.example\r\nconnection: close\r\n\r\n',
    400,
    'REQUEST_INVALID',
  ],
  [
    'a foreign host in the target',
    `GET http://evil.example/livez HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`,
    421,
    'HOST_NOT_ALLOWED',
  ],
  ['an unknown expectation', `GET /livez HTTP/1.1\r\n${HOST}expect: tea\r\n\r\n`, 417, 'EXPECTATION_FAILED'],
  ['a space in the path', `GET /live z HTTP/1.1\r\n${HOST}\r\n`, 400, 'REQUEST_INVALID'],
  ['a header without a name', `GET /livez HTTP/1.1\r\n${HOST}: x\r\n\r\n`, 400, 'REQUEST_INVALID'],
  ['a folded header', `GET /livez HTTP/1.1\r\n${HOST}a: b\r\n c\r\n\r\n`, 400, 'REQUEST_INVALID'],
  ['NUL in a header', `GET /livez HTTP/1.1\r\n${HOST}a: \0\r\n\r\n`, 400, 'REQUEST_INVALID'],
  [
    'headers of 20 kB',
    `GET /livez HTTP/1.1\r\n${HOST}a: ${'x'.repeat(20_000)}\r\n\r\n`,
    431,
    'HEADERS_TOO_LARGE',
  ],
  ['a path of 20 kB', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`, 431, 'HEADERS_TOO_LARGE'],
  [
    'two lengths',
    `POST /solve HTTP/1.1\r\n${HOST}content-length: 1\r\ncontent-length: 2\r\n\r\nxx`,
    400,
    'REQUEST_INVALID',
  ],
  [
    'a length that is no number',
    `POST /solve HTTP/1.1\r\n${HOST}content-length: many\r\n\r\n{}`,
    400,
    'REQUEST_INVALID',
  ],
  [
    'a negative length',
    `POST /solve HTTP/1.1\r\n${HOST}content-length: -1\r\n\r\n{}`,
    400,
    'REQUEST_INVALID',
  ],
  [
    'a length and chunks (smuggling)',
    `POST /solve HTTP/1.1\r\n${HOST}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    'REQUEST_INVALID',
  ],
  [
    'an unknown transfer encoding',
    `POST /solve HTTP/1.1\r\n${HOST}transfer-encoding: gzip\r\n\r\n{}`,
    400,
    'REQUEST_INVALID',
  ],
  ['a path that is no URL', `GET /%zz HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`, 400, 'REQUEST_INVALID'],
  [
    'a method that fastify does not route',
    `PROPFIND /solve HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`,
    405,
    'METHOD_NOT_ALLOWED',
  ],
  ['TRACE', `TRACE /solve HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`, 405, 'METHOD_NOT_ALLOWED'],
  ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`, 404, 'ROUTE_NOT_FOUND'],
  [
    'an upgrade that is not offered',
    `GET /nowhere HTTP/1.1\r\n${HOST}connection: upgrade, close\r\nupgrade: websocket\r\n\r\n`,
    404,
    'ROUTE_NOT_FOUND',
  ],
])('answers %s', async (_what, bytes, status, code) => {
  const response = parse(await exchange(port, bytes))
  expect(response.status).toBe(status)
  expect(response.headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
  })
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(JSON.parse(response.body)).toMatchObject({
    status,
    code,
    instance: response.headers['x-request-id'],
  })
})

test('refuses endless chunks at the size limit', async () => {
  const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
  const head = `POST /solve HTTP/1.1\r\n${HOST}content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n`
  const response = parse(await exchange(port, head + chunk.repeat(6)))
  expect(response.status).toBe(413)
})

test('refuses an invalid chunk', async () => {
  const head = `POST /solve HTTP/1.1\r\n${HOST}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
  expect(parse(await exchange(port, `${head}zz\r\n{}\r\n`)).status).toBe(400)
})

test('answers 408 to headers that do not arrive in time', async () => {
  const response = parse(await exchange(port, 'GET /livez HTTP/1.1\r\nhost:'))
  expect(response.status).toBe(408)
  expect(JSON.parse(response.body)).toMatchObject({ code: 'REQUEST_TIMEOUT' })
})

test('answers 408 to a body that does not arrive in time', async () => {
  const head = `POST /solve HTTP/1.1\r\n${HOST}content-type: application/json\r\ncontent-length: 100\r\n\r\n{"question"`
  expect(parse(await exchange(port, head)).status).toBe(408)
})

test('closes idle connections', async () => {
  const started = performance.now()
  const text = await exchange(port, `GET /livez HTTP/1.1\r\n${HOST}\r\n`, 10_000)
  expect(parse(text).status).toBe(200)
  expect(performance.now() - started).toBeLessThan(9_000)
})

test('continues to work after callers disconnect while sending', async () => {
  const before = requests.length
  const request = `POST /solve HTTP/1.1\r\n${HOST}content-type: application/json\r\ncontent-length: 16\r\n\r\n{"question":"x"}`
  for (let cut = 1; cut < request.length; cut += 7) {
    const socket = await open(port)
    socket.write(request.slice(0, cut))
    await sleep(1)
    socket.resetAndDestroy()
  }
  expect(requests.length).toBe(before)
  const socket = await open(port)
  socket.write(request)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /)
  socket.destroy()
})

test('answers pipelined requests in order', async () => {
  const good = `GET /livez HTTP/1.1\r\n${HOST}\r\n`
  const text = await exchange(port, `${good}GET /nowhere HTTP/1.1\r\n${HOST}\r\n${good}`)
  expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '404', '200'])
})
