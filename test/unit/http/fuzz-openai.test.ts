/** @file Sends random requests to `/v1`, the same on every run, and expects OpenAI's envelope and no 5xx. */

import { expect, test } from 'vitest'
import { createRandom } from '#tensor'
import { ChatCompletionRequest } from '../../../src/http/schemas/chat-completions.ts'
import { ResponseRequest } from '../../../src/http/schemas/responses-api.ts'
import { scriptedSolver, testApp } from '../../support/http-app.ts'

const SEED = 20_261_101
const REQUESTS = 1_000

const random = createRandom(SEED)
const below = (limit: number) => Math.floor(random.uniform() * limit)
const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T

const STRINGS = [
  '',
  'x',
  '\u0000',
  '\ud800',
  '👍',
  '__proto__',
  'auto',
  'none',
  'circadian/lto',
  'text',
  'user',
]
const NUMBERS = [0, -0, 1, -1, 0.5, 2, 65, 256, 2 ** 31, 2 ** 53, 1e308, 5e-324]
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
    names: Object.keys(ChatCompletionRequest.properties),
  },
  '/v1/responses': {
    valid: { model: 'circadian/majority', input: '1 + 1?', temperature: 1, reasoning: { effort: 'low' } },
    names: Object.keys(ResponseRequest.properties),
  },
} as const

function anything(names: readonly string[], depth = 0): unknown {
  switch (below(depth > 3 ? 5 : 8)) {
    case 0:
      return pick(STRINGS)
    case 1:
      return pick(NUMBERS)
    case 2:
      return random.uniform() < 0.5
    case 3:
      return null
    case 4:
      return pick(MESSAGES)
    case 5:
      return Array.from({ length: below(4) }, () => anything(names, depth + 1))
    default:
      return Object.fromEntries(
        Array.from({ length: below(5) }, () => [
          pick([...names, ...STRINGS, 'type', 'content']),
          anything(names, depth + 1),
        ]),
      )
  }
}

/** Returns a valid body with up to two changes, so that many bodies pass the first check. */
function almostValid({ valid, names }: (typeof KINDS)[keyof typeof KINDS]): object {
  const body: Record<string, unknown> = { ...valid }
  for (let changes = below(3); changes > 0; changes -= 1) {
    const name = pick(names)
    body[name] = anything(names)
  }
  return body
}

test(`${REQUESTS} random requests to /v1 (seed ${SEED}) get an answer, or an error that names what is wrong`, async () => {
  const { solver, requests } = scriptedSolver()
  const app = testApp({ solver })
  const counts = new Map<number, number>()
  for (let index = 0; index < REQUESTS; index += 1) {
    const url = pick(Object.keys(KINDS) as (keyof typeof KINDS)[])
    const body = almostValid(KINDS[url])
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
