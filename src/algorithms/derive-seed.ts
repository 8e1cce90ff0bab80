/** @file Derives one seed per row, or per step, from the seed of a request. */

import { createRandom } from '#tensor'

/**
 * Seed of row (or step) `index`. It depends on `(seed, index)` alone, so a row samples the same tokens
 * in any batch.
 *
 * @returns an integer in [0, 2^48 - 1].
 */
export function deriveSeed(seed: number, index: number): number {
  const random = createRandom(seed, index)
  const bits = () => Math.floor(random.uniform() * 2 ** 24)
  return bits() * 2 ** 24 + bits()
}
