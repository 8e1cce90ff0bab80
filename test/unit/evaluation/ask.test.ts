/** @file What a solver and a server are asked: the reference is no part of it. */

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import {
  type AnswerRecord,
  type Ask,
  answerTasks,
  askServer,
  askSolver,
  listTasks,
  parseArm,
} from '#evaluation'
import { createSolver, type SolveRequest } from '#solving'
import { ARMS, grade, PROBLEMS, solutionOf } from '../../support/evaluations.ts'
import { createLinearModel } from '../../support/linear-model.ts'
import { GOOD_DRAFT } from '../../support/solve-in-memory.ts'

/** References that stand in no question. */
const SECRET = PROBLEMS.map((problem, index) => ({ ...problem, reference: `secret-${index}` }))

async function answerAll(ask: Ask, arms = ARMS) {
  const records: AnswerRecord[] = []
  await answerTasks(listTasks(SECRET, arms, [1]), {
    ask,
    grade,
    concurrency: 2,
    stop: new AbortController().signal,
    fingerprint: null,
    pauseMs: 1,
    onAnswer: (record) => void records.push(record),
  })
  return records
}

test('no strategy sees a reference: neither its request nor its prompt has one', async () => {
  const seen: SolveRequest[] = []
  const engine = createLinearModel(GOOD_DRAFT)
  const logger = { info() {}, warn() {} }
  const prompts: string[] = []
  const solver = createSolver({
    engine: {
      ...engine,
      codec: {
        ...engine.codec,
        encodeChat(messages, ...rest) {
          prompts.push(JSON.stringify(messages))
          return engine.codec.encodeChat(messages, ...rest)
        },
      },
    },
    episodes: null,
    logger,
    judgeFor: (request) => {
      seen.push(request)
      return {
        judge: async (answers) => answers.map(() => ({ reward: -0.5, terms: {}, correctness: null })),
      }
    },
  })
  const asked: unknown[] = []
  const records = await answerAll(
    askSolver({
      solve(request, options) {
        asked.push(request)
        return solver.solve(request, options)
      },
    }),
    [parseArm('greedy')],
  )
  expect(records).toHaveLength(12)
  expect(records[0]?.reference).toBe('secret-0')
  expect(seen).toHaveLength(12)
  expect(prompts.length).toBeGreaterThanOrEqual(12)
  expect(seen.every((request) => !('reference' in request))).toBe(true)
  expect(JSON.stringify([asked, seen, prompts])).not.toContain('secret')
})

test('an arm that learns has a memory of its own in every repetition', async () => {
  const tenants: string[] = []
  const ask = askSolver({
    async solve({ tenantId }) {
      tenants.push(tenantId)
      return solutionOf('1')
    },
  })
  const signal = new AbortController().signal
  for (const run of [1, 2]) {
    for (const arm of [...ARMS, parseArm('name=a:auto:learn=true'), parseArm('name=b:auto:learn=true')]) {
      await ask({ question: 'q', arm, run, seed: 1 }, signal)
    }
  }
  expect(tenants.filter((tenant) => tenant === 'default')).toHaveLength(4)
  expect(new Set(tenants.filter((tenant) => tenant !== 'default')).size).toBe(4)
})

interface Got {
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function serve(answer: (got: Got) => { status: number; body: unknown; retryAfter?: string }) {
  const requests: Got[] = []
  const url = await listen(async (request, response) => {
    const chunks = await request.toArray()
    const got = { path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() }
    requests.push(got)
    const { status, body, retryAfter } = answer(got)
    response.writeHead(status, {
      'content-type': 'application/json',
      ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
    })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  return { url: `${url}/behind/`, requests }
}

test('a server is asked POST /solve, with the headers and without the reference', async () => {
  const { url, requests } = await serve(() => ({ status: 200, body: solutionOf('1') }))
  const records = await answerAll(askServer(url, { authorization: 'Bearer key' }))
  expect(records).toHaveLength(24)
  expect(requests[0]).toMatchObject({ path: '/behind/solve', headers: { authorization: 'Bearer key' } })
  expect(Object.keys(JSON.parse(requests[0]?.body ?? '')).sort()).toEqual(
    ['explain', 'learn', 'question', 'retrieval', 'seed', 'strategy'].sort(),
  )
  expect(JSON.stringify(requests)).not.toContain('secret')
})

test('a busy server is asked again, after the time that it names', async () => {
  let refusals = 0
  const { url } = await serve(() => {
    refusals += 1
    if (refusals > 3) return { status: 200, body: solutionOf('1') }
    return refusals === 1
      ? { status: 502, body: '<html>' }
      : { status: 503, body: { code: 'ENGINE_OVERLOADED', detail: 'busy' }, retryAfter: '0' }
  })
  expect(await answerAll(askServer(url, {}), [ARMS[0]!])).toHaveLength(12)
})

test.each([
  [
    { status: 400, body: { code: 'REQUEST_INVALID', detail: 'body/strategy: unknown' } },
    'body/strategy: unknown',
  ],
  [{ status: 404, body: '<html>' }, 'status 404'],
  [{ status: 200, body: '{"hello":1}' }, 'expected a solution, got another answer'],
])('%j ends the evaluation', async (answer, message) => {
  const { url } = await serve(() => answer)
  await expect(answerAll(askServer(url, {}))).rejects.toThrow(message)
})

const ASKED = { question: '1?', arm: ARMS[0]!, run: 1, seed: 1 }

test('a server that takes too long is given up, before its answer and within', async () => {
  const signal = new AbortController().signal
  const lost = {
    code: 'ENGINE_UNAVAILABLE',
    message: expect.stringMatching(/\/solve: expected an answer, got none for 0.05 s$/),
  }
  await expect(askServer(await listen(() => {}), {}, 50)(ASKED, signal)).rejects.toMatchObject(lost)
  const begun = await listen((_, response) => void response.write('{'))
  await expect(askServer(begun, {}, 50)(ASKED, signal)).rejects.toMatchObject(lost)
})

test('a request is given up when the evaluation is stopped, before its answer and within', async () => {
  const listeners: RequestListener[] = [() => {}, (_, response) => void response.write('{')]
  for (const listener of listeners) {
    const stop = new AbortController()
    const arrived = Promise.withResolvers<void>()
    const url = await listen((request, response) => {
      listener(request, response)
      setTimeout(arrived.resolve, 20)
    })
    const asking = expect(askServer(url, {})(ASKED, stop.signal)).rejects.toMatchObject({ code: 'ABORTED' })
    await arrived.promise
    stop.abort()
    await asking
  }
})

test('an address where nothing answers is named, with its reason', async () => {
  await expect(answerAll(askServer('http://127.0.0.1:9', {}), [ARMS[0]!])).rejects.toThrow(
    /POST http:\/\/127\.0\.0\.1:9\/solve: expected an answer, got .+/,
  )
})

test.each(['', 'foo', 'localhost:8080', 'ftp://host', 'http://', 'http://a b'])(
  'the address %j is refused at once',
  (url) => {
    expect(() => askServer(url, {})).toThrow(`--url: expected http://HOST:PORT, got ${url}`)
  },
)

test('a header that cannot be sent is refused at once, without its value', () => {
  for (const value of ['Bearer secret\nkey', 'secret \u20ac', 'secret\0']) {
    const ask = () => askServer('http://127.0.0.1:9', { authorization: value })
    expect(ask).toThrow('--header: expected a value of one line for authorization, got other characters')
    expect(ask).not.toThrow(/secret/)
  }
})

test('an address with a user name is refused at once, without its password', () => {
  const ask = () => askServer('http://me:secret@127.0.0.1:9', {})
  expect(ask).toThrow('--url: expected an address without a user name')
  expect(ask).not.toThrow(/secret/)
})

test.each([
  ['30', 30],
  ['9999999999', 600],
  ['-5', undefined],
  ['', undefined],
  ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
])('the wish to be asked again after %j is understood as %j s', async (retryAfter, seconds) => {
  const { url } = await serve(() => ({ status: 503, body: { code: 'ENGINE_OVERLOADED' }, retryAfter }))
  const error = await askServer(url, {})(ASKED, new AbortController().signal).catch((thrown) => thrown)
  expect(error).toMatchObject({ code: 'ENGINE_OVERLOADED' })
  expect(error.retryAfterSeconds).toBe(seconds)
})
