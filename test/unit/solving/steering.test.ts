import { describe, expect, test } from 'vitest'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE } from '../../support/linear-model.ts'
import { GOOD_DRAFT, route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

/** The draft, of the given P(correct), under a bar of -.1 and the weights verifier 1, format 2. */
function strictWorld(correctness: number) {
  return {
    routes: { a: route('1', correctness) },
    firstLogits: { a: 3 },
    profile: { defaults: { ...TEST_PROFILE.defaults, admitReward: -0.1 } },
  }
}

describe('the weights of a request', () => {
  test.each([
    [0.6, { format: 1_000_000 }, false],
    [0.6, { verifier: 0 }, false],
    [0.8, { format: 0 }, true],
    [0.8, { verifier: 0 }, true],
  ])(
    'P(correct) %d under %j: whether it is admitted is decided by the profile: %s',
    async (p, reward, admitted) => {
      const episodes = createEpisodesInMemory()
      const solution = await solverOn(strictWorld(p), { episodes }).solve({ strategy: 'greedy', reward })

      const [episode] = episodes.added
      expect(episode).toMatchObject({ admitted, candidates: [{ meetsAdmission: admitted }] })
      expect(episode!.latents !== null).toBe(admitted)
      // Under the profile's weights: (1 x (p - 1) + 2 x 0) / 3.
      for (const stored of [episode!.reward, episode!.baseReward, episode!.candidates[0]!.reward]) {
        expect(stored).toBeCloseTo((p - 1) / 3, 6)
      }
      const { verifier = 1, format = 2 } = reward as { verifier?: number; format?: number }
      expect(solution.reward).toBeCloseTo((verifier * (p - 1)) / (verifier + format), 6)
    },
  )

  test('ask for no term of weight 0 where nothing is learned', async () => {
    const { solve, engine } = solverOn(GOOD_DRAFT, { episodes: createEpisodesInMemory() })
    await solve({ strategy: 'greedy', reward: { verifier: 0 }, learn: false })
    expect(engine.calls.score).toBe(0)
    await solve({ strategy: 'greedy', reward: { verifier: 0 } })
    expect(engine.calls.score).toBe(1)
  })
})

test('an answer that contradicts the reference of its request is not admitted', async () => {
  const episodes = createEpisodesInMemory()
  const { solve } = solverOn(GOOD_DRAFT, { episodes })
  await solve({ strategy: 'greedy', reference: '2' })
  await solve({ strategy: 'greedy', reference: '1' })

  expect(episodes.added.map(({ admitted, latents }) => [admitted, latents !== null])).toEqual([
    [false, false],
    [true, true],
  ])
})

describe('the ancestors of an episode', () => {
  test('are the neighbours that moved the start of its answer', async () => {
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(TWO_FLIPS, { episodes })
    for (let day = 0; day < 3; day++) await solve({ strategy: 'auto' })

    const [first, second, third] = episodes.added
    expect(first!.ancestors).toEqual([])
    expect(second).toMatchObject({ answer: '3', ancestors: [first!.id] })
    expect([...third!.ancestors!].sort()).toEqual([first!.id, second!.id].sort())
  })

  test('are none where the draft is returned, and where no neighbour has a shift', async () => {
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(GOOD_DRAFT, { episodes })
    for (let day = 0; day < 2; day++) await solve({ strategy: 'auto' })

    expect(episodes.added.map(({ ancestors }) => ancestors)).toEqual([[], []])
  })

  test('are none without retrieval', async () => {
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(TWO_FLIPS, { episodes })
    await solve({ strategy: 'auto' })
    await solve({ strategy: 'auto', retrieval: false })
    await solve({ strategy: 'latentseek' })

    expect(episodes.added.map(({ ancestors }) => ancestors)).toEqual([[], [], []])
  })
})
