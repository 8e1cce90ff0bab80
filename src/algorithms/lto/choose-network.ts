/** @file Chooses between networks, and between forms, by their scores of the calibration answers. */

import { withinQuestionAuc } from './choice-metrics.ts'

/** Scored answers, in parallel arrays. */
interface Scored {
  readonly logits: readonly number[]
  /** 1 = right, 0 = wrong. */
  readonly labels: readonly number[]
  /** Question of each answer. */
  readonly groups: readonly number[]
}

/**
 * Returns the index of the scores with the highest within-question AUC. Ties, and answers without a question that
 * has both a right and a wrong one, are decided by pooled AUC; the first wins where that is equal too.
 */
export function chooseScores(
  scores: readonly (readonly number[])[],
  { labels, groups }: Omit<Scored, 'logits'>,
): number {
  const measured = scores.map((logits) => {
    const scored = { logits, labels, groups }
    return {
      within: meanWithinQuestionAuc(scored).value,
      pooled: meanWithinQuestionAuc({ ...scored, groups: labels.map(() => 0) }).value,
    }
  })
  let best = 0
  for (const [index, { within, pooled }] of measured.entries()) {
    const difference = within - measured[best]!.within || pooled - measured[best]!.pooled
    if (difference > 0) best = index
  }
  return best
}

/**
 * Returns the within-question AUC, averaged over the `n` questions that have right and wrong answers; NaN
 * without.
 */
export function meanWithinQuestionAuc({ logits, labels, groups }: Scored): {
  readonly value: number
  readonly n: number
} {
  const byQuestion = Map.groupBy(logits.keys(), (index) => groups[index]!)
  const shares = [...byQuestion.values()]
    .map((own) => own.map((index) => ({ score: logits[index]!, correct: labels[index]! > 0.5 })))
    .map((answers) => withinQuestionAuc({ answers }))
    .filter((share) => !Number.isNaN(share))
  return { value: shares.reduce((sum, share) => sum + share, 0) / shares.length, n: shares.length }
}
