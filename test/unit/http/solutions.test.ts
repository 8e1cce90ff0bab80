/** @file Questions that are answered in the background, over HTTP. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { toProblem } from '../../../src/http/problem.ts'
import { prefersAsync } from '../../../src/http/routes/solutions.ts'
import {
  ANSWERED_ID,
  memorySolutions,
  QUESTION,
  SOLUTION,
  scriptedSolver,
  testApp,
} from '../../support/http-app.ts'

const { solver, requests: solved } = scriptedSolver()
const { solutions, added, set } = memorySolutions()
const app = testApp({ solver, solutions, hasWebhooks: true })
const unsigned = testApp({ solver })
afterAll(() => unsigned.close())
// Compiles the schemas.
beforeAll(async () => void (await app.ready()), 60_000)
afterAll(() => app.close())

const ask = (prefer: string, body: object = {}) =>
  app.inject({
    method: 'POST',
    url: '/solve',
    payload: { question: QUESTION, seed: 7, ...body },
    headers: { prefer, 'x-request-id': 'request-1' },
  })

test('a question is accepted with its place, watched and cancelled', async () => {
  const accepted = await ask('respond-async')
  expect(accepted.statusCode).toBe(202)
  const { id, status } = accepted.json()
  expect(status).toBe('queued')
  expect(accepted.headers).toMatchObject({
    location: `/solutions/${id}`,
    'preference-applied': 'respond-async',
  })
  expect(solved).toEqual([])
  expect(added).toEqual([
    {
      tenantId: 'default',
      id,
      requestId: 'request-1',
      traceparent: undefined,
      webhook: null,
      request: {
        question: {
          question: QUESTION,
          seed: 7,
          strategy: 'auto',
          learn: true,
          explain: false,
          tenantId: 'default',
        },
        caller: '127.0.0.1',
        keyId: null,
        limits: { rate: null, tokens: null },
      },
    },
  ])
  const url = `/solutions/${id}`
  expect((await app.inject({ url })).json()).toMatchObject({ id, status: 'queued', finishedAt: null })
  expect((await app.inject({ method: 'DELETE', url })).json()).toMatchObject({ id, status: 'cancelled' })
  expect((await app.inject({ url })).json()).toMatchObject({ status: 'cancelled' })
})

test('a question that the solver refuses is refused at once, and not accepted', async () => {
  const refusing = {
    ...solver,
    check() {
      throw new ServiceError('REQUEST_INVALID', 'body/reference: expected an answer')
    },
  }
  const { solutions: none, added: accepted } = memorySolutions()
  await using strict = testApp({ solver: refusing, solutions: none })
  const payload = { question: QUESTION, reference: '?' }
  const headers = { prefer: 'respond-async' }
  const response = await strict.inject({ method: 'POST', url: '/solve', payload, headers })
  expect([response.statusCode, accepted]).toEqual([400, []])
})

test('an answer is the body of the direct response; it stays when it is cancelled too late', async () => {
  for (const method of ['GET', 'DELETE', 'GET'] as const) {
    const answer = (await app.inject({ method, url: `/solutions/${ANSWERED_ID}` })).json()
    expect(answer).toMatchObject({ id: ANSWERED_ID, status: 'succeeded', solution: SOLUTION })
    expect(answer).not.toHaveProperty('problem')
  }
})

test('a failure is a problem', async () => {
  const result = toProblem(new ServiceError('PROMPT_TOO_LONG', 'solve: too long'), 'x')
  const id = '0198f2c4-eeee-7d11-8a3c-000000000000'
  const moment = '2026-03-02T03:00:00.000Z'
  set('default', { id, status: 'failed', result, createdAt: moment, startedAt: moment, finishedAt: moment })
  const answer = (await app.inject({ url: `/solutions/${id}` })).json()
  expect(answer).toMatchObject({ status: 'failed', problem: { code: 'PROMPT_TOO_LONG', status: 422 } })
  expect(answer).not.toHaveProperty('solution')
})

test('a question that is not valid is refused at once', async () => {
  expect((await ask('respond-async', { samples: 0 })).statusCode).toBe(400)
})

test('a webhook is an address, and only for an answer in the background of a server that signs', async () => {
  const webhook = 'https://app.example/hook?token=1'
  expect((await ask('respond-async', { webhook })).statusCode).toBe(202)
  expect(added.at(-1)).toMatchObject({ webhook, request: { question: { question: QUESTION } } })
  expect(JSON.stringify(added.at(-1)?.request)).not.toContain('app.example')
  for (const bad of ['ftp://a.example', 'https://u:p@a.example', 'https://', 'https://a b', 'http://[', 7])
    expect((await ask('respond-async', { webhook: bad })).json(), `${bad}`).toMatchObject({
      status: 400,
      errors: [{ pointer: '/webhook' }],
    })
  expect((await ask('', { webhook })).json()).toMatchObject({
    errors: [{ detail: 'expected none without Prefer: respond-async, got one' }],
  })
  const payload = { question: QUESTION, webhook }
  const headers = { prefer: 'respond-async' }
  const refused = await unsigned.inject({ method: 'POST', url: '/solve', payload, headers })
  expect(refused.json()).toMatchObject({ errors: [{ detail: expect.stringContaining('WEBHOOK_SECRET') }] })
})

test.each(['nonsense', '0198f2c4-ffff-7d11-8a3c-0e4b9c7d2f15', 'a'.repeat(99)])(
  'there is no solution %s',
  async (id) => {
    for (const method of ['GET', 'DELETE'] as const)
      expect((await app.inject({ method, url: `/solutions/${id}` })).json()).toMatchObject({
        status: 404,
        code: 'SOLUTION_NOT_FOUND',
      })
  },
)

test.each([
  ['respond-async', true],
  ['wait=5, Respond-Async; foo', true],
  [['handling=lenient', 'respond-async'], true],
  ['respond-asynchronously', false],
  ['return=minimal', false],
  ['x="respond-async"', false],
  [undefined, false],
])('Prefer: %s', (prefer, expected) => {
  expect(prefersAsync(prefer)).toBe(expected)
})
