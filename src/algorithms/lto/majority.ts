/**
 * @file Majority vote over extracted answers, plain and weighted: baselines of LTO (arXiv 2509.26314,
 * section 5).
 */

import { ServiceError } from '#errors'

interface Vote {
  /** Extracted and normalised answer; null votes for none. */
  readonly answer: string | null
  readonly reward: number
}

interface WeightedVote extends Vote {
  /**
   * Weight of the vote, 0 or more; with P(correct) of a latent reward model this is LRM-weighted majority.
   */
  readonly weight: number
}

/**
 * Returns the index of the vote to return (self-consistency): among the votes for the answer with most votes
 * (ties: higher total reward, then the answer seen earliest) the one of highest reward (ties: earliest).
 * When no vote has an answer, the one of highest reward among all.
 *
 * @returns -1 for no votes.
 */
export function majorityVote(votes: readonly Vote[]): number {
  return weightedMajority(votes.map((vote) => ({ ...vote, weight: 1 })))
}

/** Returns the same as `majorityVote`, with the log-probability in the place of the reward, where a vote has one. */
export function likelyVote(votes: readonly (Vote & { readonly logProbability?: number | null })[]): number {
  return majorityVote(
    votes.map(({ answer, reward, logProbability }) => ({ answer, reward: logProbability ?? reward })),
  )
}

/**
 * Returns the same as `majorityVote`, except that the winning answer is the one with the largest sum of
 * weights.
 *
 * @returns -1 for no votes.
 * @throws ServiceError INTERNAL when a weight is not a number of 0 or more.
 */
export function weightedMajority(votes: readonly WeightedVote[]): number {
  const odd = votes.find(({ weight }) => !(weight >= 0 && Number.isFinite(weight)))
  if (odd) throw new ServiceError('INTERNAL', `majority: expected weights of 0 or more, got ${odd.weight}`)
  const groups = new Map<string, number[]>()
  votes.forEach(({ answer }, index) => {
    if (answer !== null) groups.set(answer, [...(groups.get(answer) ?? []), index])
  })
  const total = (group: readonly number[], field: 'weight' | 'reward') =>
    group.reduce((sum, index) => sum + votes[index]![field], 0)

  let winner: readonly number[] | null = null
  for (const group of groups.values()) {
    const more =
      winner === null
        ? 1
        : total(group, 'weight') - total(winner, 'weight') || total(group, 'reward') - total(winner, 'reward')
    if (more > 0) winner = group
  }
  return bestOf(votes, winner ?? votes.keys())
}

function bestOf(votes: readonly Vote[], indices: Iterable<number>): number {
  let best = -1
  for (const index of indices) if (best === -1 || votes[index]!.reward > votes[best]!.reward) best = index
  return best
}
