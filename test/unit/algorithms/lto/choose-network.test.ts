import { expect, test } from 'vitest'
import { chooseScores, meanWithinQuestionAuc } from '../../../../src/algorithms/lto/choose-network.ts'

// Two questions with a right and a wrong answer each, and one that is always right.
const labels = [1, 0, 1, 0, 1]
const groups = [0, 0, 1, 1, 2]

test('within-question AUC compares answers to one question only', () => {
  // Each question's right answer is first, though the pooled order is the reverse for half of the pairs.
  const measure = (logits: readonly number[]) => meanWithinQuestionAuc({ logits, labels, groups })
  expect(measure([-5, -6, 6, 5, 0])).toEqual({ value: 1, n: 2 })
  expect(measure([1, 1, 2, 2, 3]).value).toBe(0.5)
  expect(measure([1, 2, 2, 1, 3]).value).toBe(0.5)
  const unmixed = meanWithinQuestionAuc({ logits: [1, 2], labels: [1, 0], groups: [0, 1] })
  expect(unmixed).toEqual({ value: Number.NaN, n: 0 })
})

test('scores that know how hard a question is lose to those that know its answers', () => {
  const difficulty = [-1, -1, 1, 1, 9]
  const choice = [0, -1, -2, -3, -9]
  expect(chooseScores([choice, difficulty], { labels, groups })).toBe(0)
  expect(chooseScores([difficulty, choice], { labels, groups })).toBe(1)
  expect(chooseScores([difficulty, difficulty, choice], { labels, groups })).toBe(2)
})

test('pooled AUC decides a tie, and without a mixed question; the first wins an equal one', () => {
  const pooledBetter = [2, 0, 2, 0, 2]
  const other = [-5, -6, 6, 5, -9]
  expect(chooseScores([other, pooledBetter], { labels, groups })).toBe(1)
  expect(chooseScores([pooledBetter, pooledBetter], { labels, groups })).toBe(0)
  const alone = [0, 1, 2, 3, 4]
  expect(chooseScores([other, pooledBetter], { labels, groups: alone })).toBe(1)
})
