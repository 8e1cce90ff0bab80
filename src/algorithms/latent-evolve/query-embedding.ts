/**
 * @file Computes e_c, the query embedding that episodes are retrieved by.
 *
 * Paper: LatentEvolve (arXiv 2509.24771), Eq. 3; pooling unstated there.
 * Deviates: the state is centred by a constant of the model before it is normalised. Without centring, the
 * direction that all prompts share outweighs their differences.
 */

import { ServiceError } from '#errors'
import { norm } from '#tensor'

/**
 * Centres a state by `mean` (null: no centring) and normalises it to length 1. `[D]` to `[D]`; a state equal
 * to the mean gives zeros.
 *
 * @throws ServiceError SHAPE_MISMATCH when the widths differ.
 */
export function queryEmbedding(state: Float32Array, mean: Float32Array | null): Float32Array {
  if (mean !== null && mean.length !== state.length) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `query embedding: expected a mean of width ${state.length}, got ${mean.length}`,
    )
  }
  const centred = mean === null ? state : state.map((value, index) => value - mean[index]!)
  const length = norm(centred)
  return length > 0 ? centred.map((value) => value / length) : centred
}
