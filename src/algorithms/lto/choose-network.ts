/** @file Chooses between the linear probe and the transformer by their scores of the calibration answers. */

import { withinQuestionAuc } from './choice-metrics.ts'
import type { RewardArchitecture } from './reward-network.ts'

/** Scored answers to compare two networks on, in parallel arrays. */
interface Scored {
  readonly logits: readonly number[]
  /** 1 = right, 0 = wrong. */
  readonly labels: readonly number[]
  /** Question of each answer. */
  readonly groups: readonly number[]
}

/**
 * Returns the kind with the higher within-question AUC. Ties, and answers without a question that has both a
 * right and a wrong one, are decided by pooled AUC; the probe wins where that is equal too, being smaller.
 */
export function chooseNetwork(
  networks: Readonly<Record<RewardArchitecture['kind'], readonly number[]>>,
  { labels, groups }: Omit<Scored, 'logits'>,
): RewardArchitecture['kind'] {
  const [probe, transformer] = [networks.linear, networks.transformer].map((logits) => {
    const scored = { logits, labels, groups }
    return {
      within: meanWithinQuestionAuc(scored),
      pooled: meanWithinQuestionAuc({ ...scored, groups: labels.map(() => 0) }),
    }
  }) as [Measured, Measured]
  const difference = transformer.within - probe.within || transformer.pooled - probe.pooled
  return difference > 0 ? 'transformer' : 'linear'
}

interface Measured {
  readonly within: number
  readonly pooled: number
}

/** Returns the within-question AUC, averaged over the questions that have right and wrong answers; NaN without. */
export function meanWithinQuestionAuc({ logits, labels, groups }: Scored): number {
  const byQuestion = Map.groupBy(logits.keys(), (index) => groups[index]!)
  const shares = [...byQuestion.values()]
    .map((own) => own.map((index) => ({ score: logits[index]!, correct: labels[index]! > 0.5 })))
    .map((answers) => withinQuestionAuc({ answers }))
    .filter((share) => !Number.isNaN(share))
  return shares.reduce((sum, share) => sum + share, 0) / shares.length
}
