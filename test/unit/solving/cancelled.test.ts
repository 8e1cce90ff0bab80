/** @file Tokens of requests that their callers cancel: what was decoded and judged until then is reported. */

import { expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { type CancelledUsage, createSolver, type Strategy } from '#solving'
import { type Call, createLinearModel, type World } from '../../support/linear-model.ts'
import { GOOD_DRAFT, REQUEST, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const PROMPT_TOKENS = 8
/** Of the draft of `GOOD_DRAFT`, and of every sample of `TWO_FLIPS`, the end included. */
const ANSWER_TOKENS = 9

/** Solves on an engine whose sessions close, as those of the engine room do, when the caller disconnects in a call. */
async function cancel(world: World, { strategy, during }: { strategy: Strategy; during: Call }) {
  const disconnected = new AbortController()
  const model = createLinearModel({
    ...world,
    runTokens: 2,
    before: (call) => {
      if (call === during && call !== 'generate') disconnected.abort()
    },
  })
  const closed = () => new ServiceError('ABORTED', 'session closed')
  const engine: typeof model = {
    ...model,
    async open(prompt, options) {
      const session = await model.open(prompt, { ...options, signal: new AbortController().signal })
      return {
        ...session,
        async generate(rows) {
          const decoded = await session.generate(rows)
          if (during === 'generate') disconnected.abort()
          if (disconnected.signal.aborted) throw closed()
          return decoded
        },
        async score(rows, tokens) {
          const scores = await session.score(rows, tokens)
          if (disconnected.signal.aborted) throw closed()
          return scores
        },
      }
    },
  }
  const solver = createSolver({ engine, episodes: null, logger: { info() {}, warn() {} } })
  const usages: CancelledUsage[] = []
  const solving = solver.solve(
    { ...REQUEST, strategy },
    { signal: disconnected.signal, onCancelled: (usage) => usages.push(usage) },
  )
  await expect(solving).rejects.toMatchObject({ code: 'ABORTED' })
  return usages
}

test('tokens of a run that the caller does not wait for count', async () => {
  const [usage, ...others] = await cancel(GOOD_DRAFT, { strategy: 'greedy', during: 'generate' })
  expect(usage).toEqual({ promptTokens: PROMPT_TOKENS, generatedTokens: ANSWER_TOKENS, rewardTokens: 0 })
  expect(others).toEqual([])
})

test('tokens of all samples count', async () => {
  const [usage] = await cancel(TWO_FLIPS, { strategy: 'majority', during: 'generate' })
  expect(usage?.generatedTokens).toBe(8 * ANSWER_TOKENS)
})

test('tokens that were counted before count once', async () => {
  const [usage] = await cancel(GOOD_DRAFT, { strategy: 'greedy', during: 'score' })
  expect(usage).toMatchObject({ promptTokens: PROMPT_TOKENS, generatedTokens: ANSWER_TOKENS })
})

test('a request that has not begun has used nothing', async () => {
  const [usage] = await cancel(GOOD_DRAFT, { strategy: 'greedy', during: 'open' })
  expect(usage).toEqual({ promptTokens: 0, generatedTokens: 0, rewardTokens: 0 })
})
