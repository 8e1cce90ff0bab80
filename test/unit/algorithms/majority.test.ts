import { expect, test } from 'vitest'
import { majorityVote, weightedMajority } from '#algorithms'

const votes = (...pairs: readonly (readonly [string | null, number])[]) =>
  pairs.map(([answer, reward]) => ({ answer, reward }))

test.each([
  ['the answer with most votes wins, at any rewards', votes(['1', -0.1], ['2', -0.9], ['2', -0.8]), 2],
  ['a tie goes to the higher total reward', votes(['1', -0.5], ['2', -0.4], ['2', -0.3], ['1', -0.5]), 2],
  ['a tie of votes and rewards goes to the answer seen earliest', votes(['2', -0.5], ['1', -0.5]), 0],
  [
    'the best reward among the votes for the winner is returned',
    votes(['1', -0.9], ['1', -0.2], ['2', 0]),
    1,
  ],
  ['the earliest of equal votes for the winner is returned', votes(['2', 0], ['1', -0.2], ['1', -0.2]), 1],
  ['votes without an answer are not counted', votes([null, -0.1], [null, -0.1], ['7', -0.9]), 2],
  ['without any answer the best reward is returned', votes([null, -0.9], [null, -0.4]), 1],
  ['no votes give -1', votes(), -1],
])('%s', (_name, given, expected) => {
  expect(majorityVote(given)).toBe(expected)
})

const weighted = (...triples: readonly (readonly [string | null, number, number])[]) =>
  triples.map(([answer, weight, reward]) => ({ answer, weight, reward }))

test.each([
  [
    'the largest sum of weights wins, not the most votes',
    weighted(['1', 0.9, 0], ['2', 0.3, 0], ['2', 0.3, 0]),
    0,
  ],
  [
    'many votes of low weight outweigh one of high weight',
    weighted(['1', 0.9, 0], ['2', 0.5, -0.5], ['2', 0.5, -0.4]),
    2,
  ],
  ['the weight of a vote without an answer is not counted', weighted([null, 1, 0], ['3', 0.1, -1]), 1],
  ['equal sums go to the higher total reward', weighted(['1', 0.5, -0.6], ['2', 0.5, -0.5]), 1],
  ['weights of 0 still vote', weighted(['1', 0, -0.5], ['2', 0, -0.4]), 1],
  ['no votes give -1', weighted(), -1],
])('weighted: %s', (_name, given, expected) => {
  expect(weightedMajority(given)).toBe(expected)
})

test.each([Number.NaN, -0.1, Number.POSITIVE_INFINITY])('a weight of %d is refused', (weight) => {
  expect(() => weightedMajority(weighted(['1', weight, 0]))).toThrow(
    expect.objectContaining({ code: 'INTERNAL' }),
  )
})
