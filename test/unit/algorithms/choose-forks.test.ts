import { expect, test } from 'vitest'
import { chooseForks, rankPositions } from '#algorithms'

/** Likely tokens 0, 1, 2, ... with these probabilities. */
const likely = (...probabilities: readonly number[]) =>
  probabilities.map((probability, token) => ({ token, probability }))

test('the most probable alternatives come first, wherever they are', () => {
  const at = [likely(0.4, 0.3, 0.25), likely(0.5, 0.49, 0.01)]
  expect(chooseForks([9, 0, 9, 0], [3, 1], at, 3)).toEqual([
    { position: 1, token: 1, probability: 0.49 },
    { position: 3, token: 1, probability: 0.3 },
    { position: 3, token: 2, probability: 0.25 },
  ])
})

test('a branch never repeats the token of the answer, whatever its rank', () => {
  const forks = chooseForks([1, 2], [0, 1], [likely(0.5, 0.4, 0.1), likely(0.4, 0.3, 0.3)], 8)
  expect(forks).toHaveLength(4)
  const places = forks.map(({ position, token }) => ({ position, token }))
  expect(places).not.toContainEqual({ position: 0, token: 1 })
  expect(places).not.toContainEqual({ position: 1, token: 2 })
  expect(chooseForks([0], [], [], 8)).toEqual([])
})

test('positions rank by entropy, by place or at random; those without an entropy not at all', () => {
  const entropies = Float32Array.of(0.1, 0.9, Number.NaN, 0.9, 0.5)
  expect(rankPositions(entropies, 'entropy', 1)).toEqual([1, 3, 4, 0])
  expect(rankPositions(entropies, 'prefix', 1)).toEqual([0, 1, 3, 4])
  const random = (seed: number) => rankPositions(new Float32Array(40), 'random', seed)
  expect(random(3)).toEqual(random(3))
  expect(random(3)).not.toEqual(random(4))
  expect([...random(3)].sort((a, b) => a - b)).toEqual([...new Array(40).keys()])
})
