import { expect, test } from 'vitest'
import { REQUEST, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

test('a seed is drawn when none is given, and echoed', async () => {
  const { solver, solve } = solverOn(TWO_FLIPS)
  const { seed: _seed, ...request } = REQUEST
  const seeds = new Set<number>()
  for (let i = 0; i < 8; i++) {
    const { seed } = await solver.solve(request, { signal: new AbortController().signal })
    expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true)
    seeds.add(seed)
  }
  expect(seeds.size).toBe(8)
  expect((await solve({ seed: 2 ** 53 - 1 })).seed).toBe(2 ** 53 - 1)
})

test('the largest seed seeds every row', async () => {
  const { solve } = solverOn(TWO_FLIPS)
  const solution = await solve({ strategy: 'majority', samples: 4, seed: 2 ** 53 - 1, explain: true })
  expect(solution.candidates).toHaveLength(4)
})

test('the same seed tells the same story, alone and among others', async () => {
  const { solve } = solverOn(TWO_FLIPS)
  const tokens = async (seed: number) => {
    const { reasoning, candidates, rewardHistory } = await solve({
      strategy: 'majority',
      seed,
      explain: true,
    })
    return { reasoning, candidates, rewardHistory }
  }
  const alone = await tokens(7)
  const together = await Promise.all(Array.from({ length: 16 }, (_, i) => tokens(i)))

  expect(together[7]).toEqual(alone)
})
