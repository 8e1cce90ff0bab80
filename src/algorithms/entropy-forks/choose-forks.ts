/**
 * @file Chooses the places of an answer at which another token is worth a try.
 *
 * Papers: ReasonMaxxer (arXiv 2605.06241): what training changes sits in 1 to 3 % of the positions, where the entropy
 * is high, and inside the top 5 of the model that was not trained.
 */

import type { LikelyToken } from '#ports'
import { createRandom } from '#tensor'

/**
 * Places of an answer: its first positions, those of highest entropy, or random ones (the control of a
 * measurement).
 */
export type Places = 'prefix' | 'entropy' | 'random'

/** Upper bound on the positions of an answer that are ranked: their latents take 4 D bytes each. */
export const MAX_POSITIONS = 1024

/** Stream of the request's seed for random places; the rows of samples count from 0. */
const PLACES_STREAM = 2 ** 32 - 2

/** A branch of an answer: its tokens before `position`, then `token`. */
export interface Fork {
  readonly position: number
  readonly token: number
  /** Probability of the token at this position, in (0, 1], at temperature 1. */
  readonly probability: number
}

/**
 * Returns the positions that have an entropy, the first choice first; ties of entropy: the earlier.
 *
 * @param entropies entropies of the distributions that the tokens were taken from; not a number: not known
 * @param seed seed of the request, for `random`
 */
export function rankPositions(entropies: ArrayLike<number>, places: Places, seed: number): number[] {
  const values = Array.from(entropies)
  const positions = [...values.keys()].filter((position) => Number.isFinite(values[position]))
  if (places === 'prefix') return positions
  const random = createRandom(seed, PLACES_STREAM)
  const scores = places === 'entropy' ? values : values.map(() => random.uniform())
  return positions.sort((a, b) => scores[b]! - scores[a]!)
}

/**
 * Chooses branches of an answer: likely tokens that it does not have, the most probable first, wherever they are.
 *
 * @param tokens tokens of the answer
 * @param positions positions at which it may branch
 * @param likely likely tokens of these positions
 * @param count upper bound on the branches
 */
export function chooseForks(
  tokens: readonly number[],
  positions: readonly number[],
  likely: readonly (readonly LikelyToken[])[],
  count: number,
): Fork[] {
  return positions
    .flatMap((position, index) => likely[index]!.map((each) => ({ ...each, position })))
    .filter(({ position, token }) => token !== tokens[position])
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count)
}
