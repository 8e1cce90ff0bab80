import { expect, test } from 'vitest'
import { majorityVote, weightedMajority } from '#algorithms'

const votes = (...pairs: readonly (readonly [string | null, number])[]) =>
  pairs.map(([answer, reward]) => ({ answer, reward }))

test.each([
  ['most votes win, whatever their rewards', votes(['1', -0.1], ['2', -0.9], ['2', -0.8]), 2],
  ['a tie goes to the higher total reward', votes(['1', -0.5], ['2', -0.4], ['2', -0.3], ['1', -0.5]), 2],
  ['a tie of rewards too goes to the one seen earliest', votes(['2', -0.5], ['1', -0.5]), 0],
  ['within the winner the best reward is returned', votes(['1', -0.9], ['1', -0.2], ['2', 0]), 1],
  ['among equals there the earliest', votes(['2', 0], ['1', -0.2], ['1', -0.2]), 1],
  ['no answer is no vote', votes([null, -0.1], [null, -0.1], ['7', -0.9]), 2],
  ['without any answer the best reward is returned', votes([null, -0.9], [null, -0.4]), 1],
  ['no votes, no winner', votes(), -1],
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
  ['many doubtful votes outweigh a sure one', weighted(['1', 0.9, 0], ['2', 0.5, -0.5], ['2', 0.5, -0.4]), 2],
  ['a vote without an answer weighs nothing', weighted([null, 1, 0], ['3', 0.1, -1]), 1],
  ['equal sums go to the higher total reward', weighted(['1', 0.5, -0.6], ['2', 0.5, -0.5]), 1],
  ['weights of 0 still vote', weighted(['1', 0, -0.5], ['2', 0, -0.4]), 1],
  ['no votes, no winner', weighted(), -1],
])('weighted: %s', (_name, given, expected) => {
  expect(weightedMajority(given)).toBe(expected)
})

test.each([Number.NaN, -0.1, Number.POSITIVE_INFINITY])('a weight of %d is refused', (weight) => {
  expect(() => weightedMajority(weighted(['1', weight, 0]))).toThrow(
    expect.objectContaining({ code: 'INTERNAL' }),
  )
})
