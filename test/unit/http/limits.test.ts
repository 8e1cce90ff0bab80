/** @file The limits of API keys over HTTP: headers, refusals, tokens. */

import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { ServiceError } from '#errors'
import { createLimiter, SCOPES } from '#keys'
import { createOwnCounters } from '../../../src/keys/counters.ts'
import { QUESTION, type Script, SOLUTION, scriptedSolver, testApp } from '../../support/http-app.ts'

let script: Script = async () => SOLUTION
const { solver, requests: solved } = scriptedSolver((request, options) => script(request, options))
let keyId = 0
let limits = { rate: { amount: 2, seconds: 60 } as const, tokens: { amount: 250, seconds: 86_400 } as const }
const app = testApp({
  solver,
  authenticate: async () => ({ keyId: `key ${keyId}`, tenantId: 'acme', scopes: SCOPES, limits }),
  limiter: createLimiter({ counters: createOwnCounters(), logger: { info() {}, warn() {} } }),
})
// Compiles the schemas.
beforeAll(async () => void (await app.ready()), 60_000)
afterAll(() => app.close())
beforeEach(() => {
  keyId += 1
  solved.length = 0
})

const solve = (over: InjectOptions = {}) =>
  app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION }, ...over })
/** Of SOLUTION. */
const TOKENS = 24 + 83 + 2

test('responses state the limits and what is left of them; the request beyond is 429', async () => {
  const first = await solve()
  expect(first.headers).toMatchObject({
    'ratelimit-policy': '"requests";q=2;w=60, "tokens";q=250;w=86400',
    ratelimit: '"requests";r=1;t=60, "tokens";r=250;t=86400',
  })
  expect((await solve()).headers['ratelimit']).toBe(`"requests";r=0;t=60, "tokens";r=${250 - TOKENS};t=86400`)
  const refused = await solve({ payload: 'no JSON at all' })
  expect(refused.statusCode).toBe(429)
  expect(refused.headers).toMatchObject({
    'retry-after': '60',
    ratelimit: `"requests";r=0;t=60, "tokens";r=${250 - 2 * TOKENS};t=86400`,
  })
  expect(refused.json()).toMatchObject({
    code: 'RATE_LIMITED',
    type: 'urn:circadian:problem:rate-limited',
    detail: 'api key: expected at most 2 requests in 60 s, got more',
  })
  expect(solved).toHaveLength(2)
})

test('a stream has the headers too, and its tokens count', async () => {
  const stream = () => solve({ headers: { accept: 'text/event-stream' } })
  expect((await stream()).headers['ratelimit']).toContain('"tokens";r=250')
  expect((await stream()).headers['ratelimit']).toContain(`"tokens";r=${250 - TOKENS}`)
  expect((await stream()).json()).toMatchObject({ code: 'RATE_LIMITED' })
})

test('tokens of a request that its caller has cancelled count', async () => {
  const payload = { model: 'circadian/greedy', messages: [{ role: 'user', content: QUESTION }] }
  const chat = (stream: boolean) => solve({ url: '/v1/chat/completions', payload: { ...payload, stream } })
  script = async (_request, { onCancelled }) => {
    onCancelled?.({ promptTokens: 20, generatedTokens: 30, rewardTokens: 2 })
    throw new ServiceError('ABORTED', 'solve: client disconnected')
  }
  onTestFinished(() => {
    script = async () => SOLUTION
  })
  expect((await chat(true)).headers['ratelimit']).toContain('"tokens";r=250')
  expect((await chat(false)).headers['ratelimit']).toContain(`"tokens";r=${250 - 52}`)
})

test('requests of OpenAI’s clients count, and are refused in their envelope', async () => {
  const payload = { model: 'circadian/greedy', messages: [{ role: 'user', content: QUESTION }] }
  const chat = () => solve({ url: '/v1/chat/completions', payload })
  expect((await chat()).headers['ratelimit']).toContain('"requests";r=1')
  expect((await chat()).headers['ratelimit']).toContain(`"tokens";r=${250 - TOKENS}`)
  const refused = await chat()
  expect(refused.headers['retry-after']).toBe('60')
  expect(refused.json()).toMatchObject({ error: { type: 'rate_limit_error' } })
})

test('a request that goes beyond the tokens is answered, the next one is not', async () => {
  limits = { rate: { amount: 9, seconds: 60 } as never, tokens: limits.tokens }
  for (let request = 0; request < 3; request++) expect((await solve()).statusCode).toBe(200)
  const refused = await solve()
  expect(refused.headers['retry-after']).toBe('86400')
  expect(refused.json()).toMatchObject({
    detail: 'api key: expected at most 250 tokens in 86400 s, got more',
  })
  expect(SOLUTION.usage).toMatchObject({ promptTokens: 24, generatedTokens: 83, rewardTokens: 2 })
})

test('routes that do not run the model do not count, and answer beyond the limit', async () => {
  for (let request = 0; request < 5; request++) {
    const answer = await app.inject({ url: '/episodes' })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers).not.toHaveProperty('ratelimit')
  }
  expect((await solve()).statusCode).toBe(200)
})
