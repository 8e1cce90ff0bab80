/** @file Majority votes over extracted answers: baselines of LTO (arXiv 2509.26314, section 5), plain and weighted. */

import { ServiceError } from '#errors'

export interface Vote {
  /** Extracted and normalised; null votes for nothing. */
  readonly answer: string | null
  readonly reward: number
}

export interface WeightedVote extends Vote {
  /** What the vote counts, 0 or more; P(correct) of a latent reward model makes it LRM-weighted majority. */
  readonly weight: number
}

/**
 * Index of the vote to return (self-consistency): from the answer with most votes (ties: higher total reward, then the one
 * seen earliest) the vote with the best reward (ties: earliest). Only when nobody has an answer is it the best reward of all.
 *
 * @returns -1 for no votes.
 */
export function majorityVote(votes: readonly Vote[]): number {
  return weightedMajority(votes.map((vote) => ({ ...vote, weight: 1 })))
}

/**
 * As `majorityVote`, but the winning answer is the one with the largest sum of weights.
 *
 * @returns -1 for no votes.
 * @throws ServiceError INTERNAL when a weight is not a number of 0 or more.
 */
export function weightedMajority(votes: readonly WeightedVote[]): number {
  const odd = votes.find(({ weight }) => !(weight >= 0 && Number.isFinite(weight)))
  if (odd) throw new ServiceError('INTERNAL', `majority: expected weights of 0 or more, got ${odd.weight}`)
  const camps = new Map<string, number[]>()
  votes.forEach(({ answer }, index) => {
    if (answer !== null) camps.set(answer, [...(camps.get(answer) ?? []), index])
  })
  const total = (camp: readonly number[], what: 'weight' | 'reward') =>
    camp.reduce((sum, index) => sum + votes[index]![what], 0)

  let winner: readonly number[] | null = null
  for (const camp of camps.values()) {
    const more =
      winner === null
        ? 1
        : total(camp, 'weight') - total(winner, 'weight') || total(camp, 'reward') - total(winner, 'reward')
    if (more > 0) winner = camp
  }
  return bestOf(votes, winner ?? votes.keys())
}

function bestOf(votes: readonly Vote[], indices: Iterable<number>): number {
  let best = -1
  for (const index of indices) if (best === -1 || votes[index]!.reward > votes[best]!.reward) best = index
  return best
}
