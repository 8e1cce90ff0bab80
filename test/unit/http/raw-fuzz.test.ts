/** @file Sends malformed bytes to the service, the same on every run, and expects 4xx, no 5xx and a service that goes on. */

import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '#tensor'
import { listen, QUESTION, scriptedSolver, testApp } from '../../support/http-app.ts'
import { open } from '../../support/raw-http.ts'

const SEED = 20_261_129
const REQUESTS = 1_000
const AT_ONCE = 20

const random = createRandom(SEED)
const below = (limit: number) => Math.floor(random.uniform() * limit)
const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T

const { solver, requests } = scriptedSolver()
const app = testApp({ solver })
let port = 0
beforeAll(async () => {
  port = (await listen(app)).port
})
afterAll(() => app.close())

const HEAD = 'HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n'
const post = (path: string, body: object) => {
  const text = JSON.stringify(body)
  const length = Buffer.byteLength(text)
  return `POST ${path} ${HEAD}content-type: application/json\r\ncontent-length: ${length}\r\n\r\n${text}`
}
const CHAT = { model: 'circadian/auto', messages: [{ role: 'user', content: QUESTION }] }
const VALID = [
  post('/solve', { question: QUESTION, seed: 1, budget: { maxMs: 100 } }),
  post('/v1/chat/completions', CHAT),
  post('/v1/responses', { model: 'circadian/auto', input: QUESTION }),
  `GET /episodes?limit=5 ${HEAD}\r\n`,
  `POST /solve ${HEAD}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{"question":"1?"\r\n1\r\n}\r\n0\r\n\r\n`,
  `GET /v1/models ${HEAD}authorization: Bearer x\r\n\r\n`,
].map((text) => Buffer.from(text, 'latin1'))

const PIECES = [
  '\r\n',
  '\n',
  '\0',
  ':',
  ' ',
  '%',
  '\x7f',
  '\xff\xfe',
  '"',
  '{',
  '../',
  'content-length: 1\r\n',
  'content-length: 99999999999999999999\r\n',
  'transfer-encoding: chunked\r\n',
  'transfer-encoding: identity, chunked\r\n',
  'host: evil.example\r\n',
  'expect: 100-continue\r\n',
  'connection: upgrade\r\nupgrade: h2c\r\n',
  'content-encoding: gzip\r\n',
  'ffffffffffffffff\r\n',
  'HTTP/2.0',
  `x: ${'y'.repeat(17_000)}\r\n`,
].map((text) => Buffer.from(text, 'latin1'))

/** Ways in which one request becomes another, most often an invalid one. */
const MUTATIONS: readonly ((bytes: Buffer) => Buffer)[] = [
  (bytes) => {
    const changed = Buffer.from(bytes)
    for (let count = 1 + below(4); count > 0; count -= 1) changed[below(changed.length)] = below(256)
    return changed
  },
  (bytes) => insert(bytes, pick(PIECES)),
  (bytes) => bytes.subarray(0, below(bytes.length)),
  (bytes) => {
    const start = below(bytes.length)
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + 1 + below(20))])
  },
  (bytes) => insert(bytes, bytes.subarray(below(bytes.length)).subarray(0, 40)),
  (bytes) => insert(bytes, pick(VALID)),
]

function insert(bytes: Buffer, piece: Buffer): Buffer {
  const at = below(bytes.length)
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)])
}

function malformed(): Buffer {
  let bytes: Buffer = pick(VALID)
  for (let changes = 1 + below(2); changes > 0 && bytes.length > 0; changes -= 1)
    bytes = pick(MUTATIONS)(bytes)
  return bytes
}

/** Sends bytes, ends the sending side, and returns what comes until the server closes the connection. */
async function answerTo(bytes: Buffer): Promise<string> {
  const socket = await open(port)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  const closed = once(socket, 'close')
  socket.end(bytes)
  await closed
  return Buffer.concat(chunks).toString()
}

/** Yields the responses in what a server sent: pipelined requests have several. A body without a length is the last. */
function* responsesIn(text: string): Generator<{ readonly status: number; readonly body: string }> {
  let rest: Buffer = Buffer.from(text)
  while (rest.length > 0) {
    const start = rest.indexOf('\r\n\r\n') + 4
    const head = rest.subarray(0, start).toString()
    const [, length = rest.length] = /^content-length: (\d+)\r$/im.exec(head) ?? []
    const end = start + Number(length)
    yield { status: Number(head.split(' ', 2)[1]), body: rest.subarray(start, end).toString() }
    rest = rest.subarray(end)
  }
}

test(`${REQUESTS} malformed requests (seed ${SEED}) get answers below 500, each error one with a body`, {
  timeout: 60_000,
}, async () => {
  const counts = new Map<number, number>()
  const count = (status: number) => counts.set(status, (counts.get(status) ?? 0) + 1)
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    const inputs = Array.from({ length: AT_ONCE }, malformed)
    const answers = await Promise.all(inputs.map(answerTo))
    for (const [index, answer] of answers.entries()) {
      const input = JSON.stringify(inputs[index]!.toString('latin1')).slice(0, 2_000)
      // A caller that sends no byte of a request gets none of an answer.
      if (answer === '') count(0)
      for (const { status, body } of responsesIn(answer)) {
        count(status)
        if (!(status < 500)) expect.unreachable(`${status} to ${input}: ${answer}`)
        if (status < 400) continue
        const { error, code = error.code } = JSON.parse(body)
        expect(code, `${input}: ${answer}`).toMatch(/^[A-Z_]+$|^[a-z_]+$/)
      }
    }
  }
  // The requests must reach the parser, the routes and the solver, otherwise the test proves nothing.
  for (const status of [200, 400, 404, 406, 415, 421])
    expect(counts.get(status), JSON.stringify([...counts])).toBeGreaterThan(5)
  for (const { tenantId } of requests) expect(tenantId).toBe('default')
  expect(await answerTo(Buffer.from(`GET /livez ${HEAD}\r\n`))).toMatch(/^HTTP\/1\.1 200 /)
})
