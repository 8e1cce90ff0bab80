import { expect, test } from 'vitest'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import type { Call } from '../../support/linear-model.ts'
import { solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

test('every millisecond is counted once, where it was spent', async () => {
  let now = 1_000
  const cost: Readonly<Record<Call, number>> = {
    open: 1,
    embed: 10,
    pool: 10,
    generate: 100,
    score: 1_000,
    ascend: 10_000,
    decode: 100_000,
    sample: 0,
    likelyTokens: 0,
  }
  const world = {
    ...TWO_FLIPS,
    before(call: Call) {
      now += cost[call]
    },
  }
  const { solve, engine } = solverOn(world, { episodes: createEpisodesInMemory(), clock: { now: () => now } })

  // The look-up of refuted answers would run beside the draft.
  const { timings } = await solve({ retrieval: false })

  // Draft and two regenerations; three verdicts; two pushes and the margin steps, and a look at what is stored.
  expect(engine.calls).toMatchObject({ generate: 3, score: 3, ascend: 3, decode: 1 })
  expect(timings).toEqual({
    queueMs: 1,
    retrieveMs: 0,
    draftMs: 10 + 100,
    optimizeMs: 2 * 100 + 3 * 10_000 + 100_000,
    rewardMs: 3 * 1_000,
    totalMs: 1 + 10 + 300 + 3_000 + 30_000 + 100_000,
  })
})
