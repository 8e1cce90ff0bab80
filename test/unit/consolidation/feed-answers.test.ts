import { expect, test } from 'vitest'
import { packStates } from '#algorithms'
import { ServiceError } from '#errors'
import type { LatentThought } from '#ports'
import { answersWithin, type FedAnswer, feedAnswers } from '../../../src/consolidation/feed-answers.ts'
import { createLinearModel, tokenOf } from '../../support/linear-model.ts'
import { route } from '../../support/solve-in-memory.ts'

const WIDTH = 4
const { signal } = new AbortController()

/** States of the last token: of the answer's tokens, as the model below gives them. */
const lastOf = (tokens: readonly number[]) =>
  Float32Array.from({ length: WIDTH }, (_, i) => 1 + (tokens.at(-1) ?? 0) * 0.1 + i)

function answer(question: string, tokens: readonly number[], noise = 0): FedAnswer {
  const last = lastOf(tokens).map((value, i) => value * (1 + (i % 2 === 0 ? noise : -noise)))
  return { question, tokens, last: packStates(last, WIDTH) }
}

function model() {
  return createLinearModel({
    routes: { a: route('1', 0.9) },
    firstLogits: { a: 1 },
    thought: (tokens): LatentThought => ({
      data: new Float32Array(WIDTH),
      layers: 1,
      width: WIDTH,
      last: lastOf(tokens),
    }),
  })
}

test('feeds the answers of a question on one prompt, in the background, and decodes nothing', async () => {
  const engine = model()
  const fed: FedAnswer[] = []
  const answers = [
    answer('a', [tokenOf('a'), 5]),
    answer('b', [tokenOf('b'), 6]),
    answer('a', [tokenOf('a'), 7]),
  ]
  await feedAnswers(engine, answers, { tokenStates: 3, signal }, async (one) => {
    fed.push(one)
  })
  expect(new Set(fed)).toEqual(new Set(answers))
  expect(engine.opened.map(({ priority }) => priority)).toEqual(['background', 'background'])
  expect(engine.asked).toMatchObject(
    Array.from({ length: 3 }, () => ({ maxNewTokens: 0, thought: true, tokenStates: 3 })),
  )
  expect(engine.openSessions).toBe(0)
})

test('leaves out an answer whose last token had other states: it was given to another prompt', async () => {
  const kept: FedAnswer[] = []
  const [same, rounded, other] = [answer('a', [5]), answer('a', [6], 0.02), answer('a', [7], 0.1)]
  const shorter = { ...answer('a', [8]), last: packStates(new Float32Array(2), 2) }
  await feedAnswers(model(), [same, rounded, other, shorter], { signal }, async (one) => {
    kept.push(one)
  })
  expect(kept).toEqual([same, rounded])
})

test('takes whole questions, in order, while their tokens fit', () => {
  const [a1, a2, b, c] = [answer('a', [1, 2]), answer('a', [3]), answer('b', [4, 5]), answer('c', [6])]
  expect(answersWithin([a1, b, a2, c], 6)).toEqual([a1, a2, b, c])
  expect(answersWithin([a1, b, a2, c], 5)).toEqual([a1, a2, b])
  expect(answersWithin([a1, b, a2, c], 4)).toEqual([a1, a2])
  expect(answersWithin([], 4)).toEqual([])
  // A question that can never fit keeps no other out.
  expect(answersWithin([answer('long', [1, 2, 3, 4, 5]), a1, b], 4)).toEqual([a1, b])
})

test.each(['PROMPT_TOO_LONG', 'MEMORY_EXCEEDED'] as const)('passes over a question with %s', async (code) => {
  const engine = model()
  let opened = 0
  const open: typeof engine.open = async (prompt, options) => {
    if (++opened === 1) throw new ServiceError(code, 'open: expected less')
    return engine.open(prompt, options)
  }
  const fed: FedAnswer[] = []
  const answers = [answer('a', [5]), answer('b', [6])]
  await feedAnswers({ ...engine, open }, answers, { signal }, async (one) => void fed.push(one))
  expect(fed).toHaveLength(1)
})

test('a stop signal ends it', async () => {
  const stop = new AbortController()
  stop.abort()
  const feeding = feedAnswers(model(), [answer('a', [1])], { signal: stop.signal }, async () => {})
  await expect(feeding).rejects.toThrow()
})
