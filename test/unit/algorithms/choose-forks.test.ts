import { expect, test } from 'vitest'
import { chooseForks, rankPositions } from '#algorithms'
import type { TokenDistribution } from '#ports'

/** A distribution over tokens 0, 1, 2, ... in descending order. */
function distribution(...probabilities: readonly number[]): TokenDistribution {
  return {
    entropy: probabilities.reduce((sum, p) => sum - p * Math.log(p), 0),
    likely: probabilities.map((probability, token) => ({ token, probability })),
  }
}

const SURE = distribution(0.98, 0.01, 0.01)
const TORN = distribution(0.5, 0.49, 0.01)
const LOST = distribution(0.4, 0.3, 0.3)

test('the likeliest alternatives at the positions of highest entropy come first', () => {
  const forks = chooseForks([0, 0, 0, 0], [SURE, TORN, SURE, LOST], { places: 'entropy', count: 2, seed: 1 })
  expect(forks).toEqual([
    { position: 1, token: 1 },
    { position: 3, token: 1 },
  ])
  const four = chooseForks([0, 0, 0, 0], [SURE, TORN, SURE, LOST], { places: 'entropy', count: 4, seed: 1 })
  expect(four.slice(2)).toEqual([
    { position: 3, token: 2 },
    { position: 1, token: 2 },
  ])
})

test('a branch never repeats the token of the answer, whatever its rank', () => {
  const forks = chooseForks([1, 2], [TORN, LOST], { places: 'entropy', count: 8, seed: 1 })
  expect(forks).toHaveLength(4)
  expect(forks).not.toContainEqual({ position: 0, token: 1 })
  expect(forks).not.toContainEqual({ position: 1, token: 2 })
})

test('tokens without a distribution do not branch, nor distributions without a token', () => {
  const options = { places: 'entropy', count: 8, seed: 1 } as const
  expect(chooseForks([0, 0, 0], [TORN], options).map(({ position }) => position)).toEqual([0, 0])
  expect(chooseForks([0], [SURE, LOST], options).map(({ position }) => position)).toEqual([0, 0])
  expect(chooseForks([], [LOST], options)).toEqual([])
})

test('positions rank by entropy, by place or at random', () => {
  const entropies = [0.1, 0.9, 0.9, 0.5]
  expect(rankPositions(entropies, 'entropy', 1)).toEqual([1, 2, 3, 0])
  expect(rankPositions(entropies, 'prefix', 1)).toEqual([0, 1, 2, 3])
  const random = (seed: number) => rankPositions(new Array<number>(40).fill(0), 'random', seed)
  expect(random(3)).toEqual(random(3))
  expect(random(3)).not.toEqual(random(4))
  expect([...random(3)].sort((a, b) => a - b)).toEqual([...new Array(40).keys()])
})
