/**
 * @file Chooses the places of an answer at which another token is worth a try.
 *
 * Papers: ReasonMaxxer (arXiv 2605.06241): what training changes sits in 1 to 3 % of the positions, where the entropy
 * is high, and inside the top 5 of the model that was not trained.
 */

import type { TokenDistribution } from '#ports'
import { createRandom } from '#tensor'

/**
 * Places of an answer: its first positions, those of highest entropy, or random ones (the control of a
 * measurement).
 */
export type Places = 'prefix' | 'entropy' | 'random'

/** Upper bound on the positions of an answer whose distributions are read: their latents take 4 D bytes each. */
export const MAX_POSITIONS = 1024

/** Stream of the request's seed for random places; the rows of samples count from 0. */
const PLACES_STREAM = 2 ** 32 - 2

/** A branch of an answer: its tokens before `position`, then `token`. */
export interface Fork {
  readonly position: number
  readonly token: number
}

export interface ForkOptions {
  readonly places: Places
  /** Upper bound on the branches, and on the positions among which they are chosen. */
  readonly count: number
  /** Seed of the request, for `random`. */
  readonly seed: number
}

/** Returns all positions, the first choice first; ties of entropy: the earlier. `seed` is the request's, for `random`. */
export function rankPositions(entropies: readonly number[], places: Places, seed: number): number[] {
  const positions = [...entropies.keys()]
  if (places === 'prefix') return positions
  const random = createRandom(seed, PLACES_STREAM)
  const scores = places === 'entropy' ? entropies : entropies.map(() => random.uniform())
  return positions.sort((a, b) => scores[b]! - scores[a]!)
}

/**
 * Chooses branches of an answer: the first `count` positions of the ranking, and at these the likely tokens that the
 * answer does not have, the most probable first, wherever they are.
 *
 * @param tokens tokens of the answer
 * @param distributions distributions that its first tokens were taken from, with as many likely tokens as may branch
 * @returns at most `count` branches, all different
 */
export function chooseForks(
  tokens: readonly number[],
  distributions: readonly TokenDistribution[],
  { places, count, seed }: ForkOptions,
): Fork[] {
  const known = distributions.slice(0, tokens.length)
  const entropies = known.map(({ entropy }) => entropy)
  const ranked = rankPositions(entropies, places, seed).slice(0, count)
  return ranked
    .flatMap((position) => known[position]!.likely.map((likely) => ({ ...likely, position })))
    .filter(({ position, token }) => token !== tokens[position])
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count)
    .map(({ position, token }) => ({ position, token }))
}
