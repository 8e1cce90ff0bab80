/** @file Samples one of several candidates by reward (LTO, arXiv 2509.26314, Theorems 1 and 2). */

import { ServiceError } from '#errors'
import { type Random, softmax } from '#tensor'

/**
 * Returns the KL-regularised optimum over candidates drawn from the reference model (Theorem 1):
 * p_i = exp(r_i / beta) / sum_j exp(r_j / beta). beta -> 0 gives best-of-N, beta -> infinity the reference
 * model.
 *
 * @param scores rewards r_i, one per candidate; their order has no meaning.
 * @throws ServiceError INTERNAL for no scores, a score that is not finite, or beta <= 0.
 */
export function ltoDistribution(scores: readonly number[], beta: number): readonly number[] {
  const odd = scores.find((score) => !Number.isFinite(score))
  if (scores.length === 0 || odd !== undefined) {
    throw new ServiceError('INTERNAL', `lto: expected finite scores, got ${odd ?? 'none'}`)
  }
  if (!(beta > 0)) throw new ServiceError('INTERNAL', `lto: expected beta above 0, got ${beta}`)
  return Array.from(softmax(scores, beta))
}

/**
 * Returns the index of one candidate, drawn from `ltoDistribution`.
 *
 * Deviates: the paper draws by acceptance and rejection (Theorem 2), with proposals uniform with
 * replacement; for one answer that is this categorical draw, which needs one random number. (Its published
 * code walks the list once, in order, so the candidates after the best one are never chosen.)
 *
 * @throws ServiceError INTERNAL as `ltoDistribution`.
 */
export function chooseByReward(scores: readonly number[], beta: number, random: Random): number {
  const probabilities = ltoDistribution(scores, beta)
  const drawn = random.uniform()
  let cumulative = 0
  for (const [index, probability] of probabilities.entries()) {
    cumulative += probability
    if (drawn < cumulative) return index
  }
  // Rounding can leave the sum slightly below 1: then the last candidate of probability above 0 is chosen.
  return probabilities.findLastIndex((probability) => probability > 0)
}
