/** @file Sends random requests to `/v1`, the same on every run, and expects OpenAI's envelope and no 5xx. */

import { expect, test } from 'vitest'
import { ChatCompletionRequest } from '../../../src/http/schemas/chat-completions.ts'
import { ResponseRequest } from '../../../src/http/schemas/responses-api.ts'
import { scriptedSolver, testApp } from '../../support/http-app.ts'
import { createRandomJson, STRANGE_STRINGS } from '../../support/random-json.ts'

const SEED = 20_261_101
const REQUESTS = 1_000

const MESSAGES = [
  { role: 'user', content: '1 + 1?' },
  { role: 'user', content: [{ type: 'text', text: '1' }] },
  { role: 'assistant', content: null, reasoning: 'x' },
  { role: 'system', content: '' },
  { role: 'tool', content: 'x', tool_call_id: 'y' },
]
const KINDS = {
  '/v1/chat/completions': {
    valid: { model: 'circadian/auto', messages: [MESSAGES[0]], temperature: 0, stop: ['x'], max_tokens: 5 },
    properties: ChatCompletionRequest.properties,
  },
  '/v1/responses': {
    valid: { model: 'circadian/majority', input: '1 + 1?', temperature: 1, reasoning: { effort: 'low' } },
    properties: ResponseRequest.properties,
  },
} as const
const URLS = Object.keys(KINDS) as (keyof typeof KINDS)[]
const { pick, almostValid } = createRandomJson(SEED, {
  strings: [...STRANGE_STRINGS, 'none', 'circadian/lto', 'text', 'user'],
  names: [...Object.values(KINDS).flatMap(({ properties }) => Object.keys(properties)), 'type', 'content'],
  values: MESSAGES,
})

test(`${REQUESTS} random requests to /v1 (seed ${SEED}) get an answer, or an error that names what is wrong`, async () => {
  const { solver, requests } = scriptedSolver()
  const app = testApp({ solver })
  const counts = new Map<number, number>()
  for (let index = 0; index < REQUESTS; index += 1) {
    const url = pick(URLS)
    const body = almostValid(KINDS[url].valid)
    const { statusCode, json, body: text } = await app.inject({ method: 'POST', url, payload: body })
    counts.set(statusCode, (counts.get(statusCode) ?? 0) + 1)
    if (statusCode >= 500) expect.unreachable(`${statusCode} to ${url} ${JSON.stringify(body)}: ${text}`)
    if (statusCode < 400) continue
    const { error } = json()
    expect(error, JSON.stringify(body)).toMatchObject({
      message: expect.stringMatching(/./),
      type: expect.stringMatching(/_error$/),
      code: expect.stringMatching(/^[a-z_]+$/),
    })
    if (statusCode === 400) expect(error.param ?? '', JSON.stringify(body)).not.toContain('/')
  }
  await app.close()
  // The requests must reach both sides of every check, otherwise the test proves nothing.
  expect(counts.get(200)).toBeGreaterThan(100)
  expect(counts.get(400)).toBeGreaterThan(100)
  for (const { question, tenantId } of requests) {
    expect(question.trim()).not.toBe('')
    expect(tenantId).toBe('default')
  }
}, 60_000)
