import { expect, test } from 'vitest'
import { majorityVote } from '#algorithms'

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
