import { expect, test } from 'vitest'
import { chooseNetwork, meanWithinQuestionAuc } from '../../../../src/algorithms/lto/choose-network.ts'

// Two questions with a right and a wrong answer each, and one that is always right.
const labels = [1, 0, 1, 0, 1]
const groups = [0, 0, 1, 1, 2]

test('within-question AUC compares answers to one question only', () => {
  // Each question's right answer is first, though the pooled order is the reverse for half of the pairs.
  expect(meanWithinQuestionAuc({ logits: [-5, -6, 6, 5, 0], labels, groups })).toBe(1)
  expect(meanWithinQuestionAuc({ logits: [1, 1, 2, 2, 3], labels, groups })).toBe(0.5)
  expect(meanWithinQuestionAuc({ logits: [1, 2, 2, 1, 3], labels, groups })).toBe(0.5)
  expect(meanWithinQuestionAuc({ logits: [1, 2], labels: [1, 0], groups: [0, 1] })).toBeNaN()
})

test('a network that knows how hard a question is loses to one that knows its answers', () => {
  const difficulty = [-1, -1, 1, 1, 9]
  const choice = [0, -1, -2, -3, -9]
  expect(chooseNetwork({ linear: choice, transformer: difficulty }, { labels, groups })).toBe('linear')
  expect(chooseNetwork({ linear: difficulty, transformer: choice }, { labels, groups })).toBe('transformer')
})

test('pooled AUC decides a tie, and without a mixed question; the probe wins an equal one', () => {
  const pooledBetter = [2, 0, 2, 0, 2]
  const other = [-5, -6, 6, 5, -9]
  expect(chooseNetwork({ linear: other, transformer: pooledBetter }, { labels, groups })).toBe('transformer')
  expect(chooseNetwork({ linear: pooledBetter, transformer: pooledBetter }, { labels, groups })).toBe(
    'linear',
  )
  const alone = [0, 1, 2, 3, 4]
  expect(chooseNetwork({ linear: other, transformer: pooledBetter }, { labels, groups: alone })).toBe(
    'transformer',
  )
})
