/** @file How hard each rollout pushes (LatentSeek, arXiv 2505.13308, Eq. 3 and 6; LatentEvolve, arXiv 2509.24771, Eq. 6). */

import { ServiceError } from '#errors'

/**
 * Argmax tokens: the reward itself, in [-1, 0), so a bad answer pushes the latents away from its own tokens.
 *
 * @throws ServiceError INTERNAL for a reward that is not negative: with argmax tokens it would reinforce the answer.
 */
export function argmaxAdvantage(reward: number): number {
  if (!(reward < 0)) {
    throw new ServiceError('INTERNAL', `argmax advantage: expected a negative reward, got ${reward}`)
  }
  return reward
}

/**
 * Sampled tokens: each reward minus the mean of the others. Sums to 0; all equal rewards push nowhere.
 *
 * Deviates: LatentEvolve weighs rollouts by Q >= 0 without a baseline; leaving one out keeps the gradient unbiased with less noise.
 */
export function sampledAdvantages(rewards: readonly number[]): number[] {
  // By differences: a mean of equal rewards may be an ulp off them, and Adam makes steps of what is left.
  return rewards.map(
    (reward) => rewards.reduce((sum, other) => sum + (reward - other), 0) / (rewards.length - 1),
  )
}
