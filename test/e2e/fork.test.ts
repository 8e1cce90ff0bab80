/** @file `fork` on the bundled model: better than its draft on some questions, and never judged worse. */

import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEngine, type Engine } from '#engine'
import { createSolver } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'

const COUNT = 40
const logger = pino({ level: 'silent' })
let engine: Engine

beforeAll(async () => {
  engine = await createEngine({
    directory: 'models/order-of-operations',
    executionProvider: 'cpu',
    cudaDevice: 0,
    logger,
  })
})

afterAll(() => engine.close())

test('finds right answers that greedy misses, and keeps what is judged best', async () => {
  const { solve, answerKeys } = createSolver({ engine, episodes: null, logger })
  const problems = makeProblems({ split: 'heldout', count: COUNT, seed: 5 })
  const answered = await Promise.all(
    problems.map(async ({ question, answer }) => {
      const request = { tenantId: 'default', question, learn: false, explain: true, seed: 1 } as const
      const { signal } = new AbortController()
      const draft = await solve({ ...request, strategy: 'greedy' }, { signal })
      const forked = await solve({ ...request, strategy: 'fork' }, { signal })
      const right = answerKeys.keyOf(String(answer))
      return { draft, forked, draftIsRight: draft.answer === right, isRight: forked.answer === right }
    }),
  )
  for (const { draft, forked } of answered) {
    expect(forked.base?.answer).toBe(draft.answer)
    expect(forked.base?.reward).toBeCloseTo(draft.reward, 5)
    const rewards = forked.candidates!.map(({ reward }) => reward)
    expect(forked.reward).toBe(Math.max(...rewards))
    expect(forked.evaluations).toBe(rewards.length - 1)
    expect(forked.evaluations).toBeLessThanOrEqual(8)
  }
  const count = (isCounted: (each: (typeof answered)[number]) => boolean) => answered.filter(isCounted).length
  expect(count(({ isRight }) => isRight)).toBeGreaterThan(count(({ draftIsRight }) => draftIsRight))
})
