/** @file The greedy draft beside samples: recorded for measurements, in the batch of the samples, and never returned. */

import { describe, expect, test } from 'vitest'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import type { World } from '../../support/linear-model.ts'
import { route, solverOn } from '../../support/solve-in-memory.ts'

/** The draft says 1; samples say 2 as often. */
const TWO: World = {
  routes: { a: route('1', 0.9), b: route('2', 0.1) },
  firstLogits: { a: 1.01, b: 1 },
}

async function solved(request: object, world = TWO) {
  const episodes = createEpisodesInMemory()
  const { solve, engine } = solverOn(world, { episodes })
  const solution = await solve({ samples: 8, explain: true, ...request })
  return { solution, engine, episode: episodes.added[0]! }
}

describe('the draft beside samples', () => {
  test.each(['majority', 'best-of-n', 'lto'] as const)('of %s changes no sample', async (strategy) => {
    const alone = await solved({ strategy })
    const { solution, episode } = await solved({ strategy, keepDraft: true })
    const [draft, ...samples] = episode.candidates
    expect(draft).toMatchObject({ kind: 'draft', answer: '1', chosen: false })
    expect(samples.map(({ kind }) => kind)).toEqual(Array(8).fill('sample'))
    expect(samples.map(({ tokens }) => tokens)).toEqual(alone.episode.candidates.map(({ tokens }) => tokens))
    expect(solution).toMatchObject({
      answer: alone.solution.answer,
      base: null,
      evaluations: 8,
    })
    expect(solution.usage.generatedTokens).toBe(alone.solution.usage.generatedTokens + draft!.tokens.length)
  })

  test('is decoded in the batch of the samples', async () => {
    const { engine } = await solved({ strategy: 'majority', keepDraft: true })
    expect(engine.calls.generate).toBe(1)
    expect(engine.asked.map(({ temperature }) => temperature)).toEqual([...Array(8).fill(1), 0])
  })

  test('is left out where the budget has no token for it, and by strategies that do not sample', async () => {
    const { episode } = await solved({ strategy: 'majority', keepDraft: true, budget: { maxNewTokens: 8 } })
    expect(episode.candidates.map(({ kind }) => kind)).toEqual(Array(8).fill('sample'))
    const { episode: greedy } = await solved({ strategy: 'greedy', keepDraft: true })
    expect(greedy.candidates.map(({ kind }) => kind)).toEqual(['draft'])
  })
})
