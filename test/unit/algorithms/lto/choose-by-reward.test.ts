import { expect, test } from 'vitest'
import { chooseByReward, ltoDistribution } from '#algorithms'
import { createRandom, type Random } from '#tensor'

const DRAWS = 20_000
const SCORES = [0.9, 0.2, 0.85, 0.5, 0.2]

/** Theorem 2 of LTO as written: propose uniformly with replacement, accept with exp((r - r_max) / beta). */
function acceptReject(scores: readonly number[], beta: number, random: Random): number {
  const best = Math.max(...scores)
  for (;;) {
    const proposed = Math.floor(random.uniform() * scores.length)
    if (random.uniform() < Math.exp((scores[proposed]! - best) / beta)) return proposed
  }
}

function frequencies(draw: () => number, candidates: number): readonly number[] {
  const counts = new Array<number>(candidates).fill(0)
  for (let i = 0; i < DRAWS; i++) counts[draw()]!++
  return counts
}

function chiSquare(counts: readonly number[], probabilities: readonly number[]): number {
  return counts.reduce((sum, count, i) => {
    const expected = probabilities[i]! * DRAWS
    return sum + (count - expected) ** 2 / expected
  }, 0)
}

/** exp(r / beta) / sum, straight from Theorem 1. */
function theorem1(scores: readonly number[], beta: number): readonly number[] {
  const weights = scores.map((score) => Math.exp(score / beta))
  const total = weights.reduce((sum, weight) => sum + weight)
  return weights.map((weight) => weight / total)
}

const CHI_SQUARE_4 = 18.47 // 99.9 % of 4 degrees of freedom

test.each([
  ['the draw', chooseByReward],
  ['acceptance and rejection, which it replaces', acceptReject],
])('%s follows exp(r / beta) / sum', (_name, choose) => {
  for (const [seed, beta] of [0.2, 0.5, 3].entries()) {
    const random = createRandom(seed)
    const counts = frequencies(() => choose(SCORES, beta, random), SCORES.length)
    expect(chiSquare(counts, theorem1(SCORES, beta))).toBeLessThan(CHI_SQUARE_4)
  }
})

test('the order of the candidates does not change their probabilities', () => {
  const permutation = [3, 0, 4, 2, 1]
  const permuted = permutation.map((index) => SCORES[index]!)
  const random = createRandom(7)
  const counts = frequencies(() => permutation[chooseByReward(permuted, 0.3, random)]!, SCORES.length)
  expect(chiSquare(counts, theorem1(SCORES, 0.3))).toBeLessThan(CHI_SQUARE_4)
  // The exact distribution too, up to rounding.
  const straight = ltoDistribution(SCORES, 0.3)
  ltoDistribution(permuted, 0.3).forEach((probability, place) => {
    expect(probability).toBeCloseTo(straight[permutation[place]!]!, 14)
  })
})

test('a small beta takes the best, a large one any candidate, and neither overflows', () => {
  expect(ltoDistribution([-1, 0, -0.5], 1e-6)).toEqual([0, 1, 0])
  expect(ltoDistribution([1000, -1000], 1e9)[0]).toBeCloseTo(0.5, 5)
  expect(ltoDistribution([5e8, 5e8], 1e-3)).toEqual([0.5, 0.5])
})

test('the same generator state chooses the same candidate, and rounding never leaves none chosen', () => {
  const choices = (seed: number) => {
    const random = createRandom(seed)
    return Array.from({ length: 50 }, () => chooseByReward(SCORES, 0.5, random))
  }
  expect(choices(3)).toEqual(choices(3))
  expect(choices(3)).not.toEqual(choices(4))
  const last: Random = { uniform: () => 1 - 2 ** -24, gaussian: () => 0 }
  expect(chooseByReward([0.1, 0.1, 0.1, -9], 1e-3, last)).toBe(2)
})

test.each([
  ['NaN', [0.1, Number.NaN], 0.1],
  ['an infinite score', [Number.POSITIVE_INFINITY, 0], 0.1],
  ['no candidates', [], 0.1],
  ['beta 0', [0.1], 0],
  ['beta NaN', [0.1], Number.NaN],
])('refuses %s', (_name, scores, beta) => {
  expect(() => chooseByReward(scores, beta, createRandom(1))).toThrow(
    expect.objectContaining({ code: 'INTERNAL' }),
  )
})
