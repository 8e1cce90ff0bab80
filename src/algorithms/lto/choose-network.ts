/** @file Chooses between the linear probe and the transformer by their scores of the calibration answers. */

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
      within: withinQuestionAuc(scored),
      pooled: withinQuestionAuc({ ...scored, groups: labels.map(() => 0) }),
    }
  }) as [Measured, Measured]
  const difference = transformer.within - probe.within || transformer.pooled - probe.pooled
  return difference > 0 ? 'transformer' : 'linear'
}

interface Measured {
  readonly within: number
  readonly pooled: number
}

/**
 * Returns the share of (right, wrong) pairs of one question that the scores order correctly, a tie counting
 * one half, averaged over the questions that have such a pair; NaN when none has.
 */
export function withinQuestionAuc({ logits, labels, groups }: Scored): number {
  const byQuestion = Map.groupBy(logits.keys(), (index) => groups[index]!)
  const shares = [...byQuestion.values()].flatMap((answers) => {
    const right = answers.filter((index) => labels[index]! > 0.5)
    const wrong = answers.filter((index) => !(labels[index]! > 0.5))
    if (right.length === 0 || wrong.length === 0) return []
    let ordered = 0
    for (const one of right) {
      for (const other of wrong) ordered += (Math.sign(logits[one]! - logits[other]!) + 1) / 2
    }
    return [ordered / (right.length * wrong.length)]
  })
  return shares.reduce((sum, share) => sum + share, 0) / shares.length
}
