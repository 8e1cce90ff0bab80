/**
 * @file e_c, the query embedding that episodes are found by.
 *
 * Paper: LatentEvolve (arXiv 2509.24771), Eq. 3; pooling unstated there.
 * Deviates: the state is centred by a constant of the model before it is normalised. Uncentred, the direction all
 * prompts share drowns what tells them apart.
 */

import { ServiceError } from '#errors'
import { norm } from '#tensor'

/**
 * Centres by `mean` (null: not at all) and normalises to length 1. `[D]` to `[D]`; a state equal to the mean stays zero.
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
