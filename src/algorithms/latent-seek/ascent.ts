/**
 * @file The parts of one LatentSeek update that need no model: Adam's constants and the advantage of each
 * rollout.
 *
 * Papers: LatentSeek (arXiv 2505.13308), Eq. 3 and 6, and section 3 for Adam: fp32, no decay, one fresh
 * state per request. LatentEvolve (arXiv 2509.24771), Eq. 6.
 */

import { ServiceError } from '#errors'
import type { AdamState, Latents } from '#ports'

export const ADAM = { beta2: 0.999, epsilon: 1e-8 } as const

/** Adam state before the first update: both moments zero, one value per latent coordinate. */
export function freshAdam(latents: Latents): AdamState {
  return { m: new Float32Array(latents.data.length), v: new Float32Array(latents.data.length), step: 0 }
}

/**
 * Advantage of the argmax tokens: the reward itself, in [-1, 0), so a bad answer pushes the latents away
 * from its own tokens.
 *
 * @throws ServiceError INTERNAL for a reward that is not negative: with argmax tokens it would reinforce the
 *   answer.
 */
export function argmaxAdvantage(reward: number): number {
  if (!(reward < 0)) {
    throw new ServiceError('INTERNAL', `argmax advantage: expected a negative reward, got ${reward}`)
  }
  return reward
}

/**
 * Advantages of sampled tokens: each reward minus the mean of the others. They sum to 0; equal rewards give
 * 0 everywhere.
 *
 * Deviates: LatentEvolve weights rollouts by Q >= 0 without a baseline; leaving one out keeps the gradient
 * unbiased with less noise.
 */
export function sampledAdvantages(rewards: readonly number[]): number[] {
  // Computed from differences: the mean of equal rewards may be an ulp off them, and Adam turns the rest
  // into full steps.
  return rewards.map(
    (reward) => rewards.reduce((sum, other) => sum + (reward - other), 0) / (rewards.length - 1),
  )
}
