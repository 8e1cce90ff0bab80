/** @file Seeded random numbers: sfc32 (Chris Doty-Humphrey, PractRand), split into independent streams. */

import { ServiceError } from '#errors'

export interface Random {
  /** Draws a uniform number in [0, 1), a multiple of 2^-24: it is exact in fp32, so it never rounds up to 1. */
  uniform(): number
  /** Draws a standard normal number (Box-Muller). */
  gaussian(): number
}

const WARM_UP_ROUNDS = 20

/**
 * Creates a generator whose numbers depend only on `(seed, stream)`. Rows of one request share the seed and
 * use their row number as the stream, so a row draws the same numbers in any batch.
 *
 * @param seed integer in [0, 2^53 - 1].
 * @param stream integer in [0, 2^32 - 1].
 * @throws ServiceError REQUEST_INVALID when either is out of range.
 */
export function createRandom(seed: number, stream = 0): Random {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ServiceError('REQUEST_INVALID', `random: expected a seed in [0, 2^53 - 1], got ${seed}`)
  }
  if (stream >>> 0 !== stream) {
    throw new ServiceError('REQUEST_INVALID', `random: expected a stream in [0, 2^32 - 1], got ${stream}`)
  }
  let a = seed | 0
  let b = Math.floor(seed / 2 ** 32) | 0
  let c = stream | 0
  let counter = 1

  function next(): number {
    const out = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + out
    return out >>> 0
  }
  for (let round = 0; round < WARM_UP_ROUNDS; round++) next()

  const uniform = () => (next() >>> 8) / 2 ** 24
  return {
    uniform,
    gaussian() {
      // (0, 1], with 32 bits, so that the logarithm is finite.
      const radius = Math.sqrt(-2 * Math.log((next() + 1) / 2 ** 32))
      return radius * Math.cos(2 * Math.PI * uniform())
    },
  }
}
