/**
 * @file Momentum transfer: what similar requests taught, added to the latents that the search starts from.
 *
 * Paper: LatentEvolve (arXiv 2509.24771), Eq. 5 and 8: z_0 = W(e_c, z_base) + sum_j alpha_j Delta_j, alpha = softmax(s_j / t).
 * Deviates: Delta_j = z*_j - W(e_j, z_base,j) with the active weaver unless `momentum` says `paper` (the paper's
 * z*_j - z_base,j adds a second time what W has learned; the same while W is the identity); a similarity floor; the norm of
 * every Delta_j is clipped, so that one poisoned neighbour weighs no more than its alpha.
 */

import { ServiceError } from '#errors'
import type { Latents, Neighbour, Weaver, WeaverRow } from '#ports'
import { norm, softmax } from '#tensor'

export interface WeighingOptions {
  /** t of the softmax over similarities; 1 in the paper. */
  readonly temperature: number
  /** Neighbours below it weigh nothing: far from memory the search starts where it would without one. */
  readonly minSimilarity: number
}

/** Origin of a neighbour's shift: `residual` measures it from W(e_j, z_base,j), `paper` from z_base,j itself. */
export type Momentum = 'residual' | 'paper'

export interface TransferOptions {
  readonly weaver: Weaver
  readonly momentum: Momentum
  /** Largest L2 norm of each neighbour's shift, and so of their sum, in units of the norm of what they are added to. */
  readonly maxShift: number
}

/** A neighbour and its weight alpha_j. */
export interface WeighedNeighbour {
  readonly neighbour: Neighbour
  readonly weight: number
}

/** alpha over the neighbours at or above the similarity floor; those below are left out. Sums to 1 unless empty. */
export function weighNeighbours(
  neighbours: readonly Neighbour[],
  options: WeighingOptions,
): readonly WeighedNeighbour[] {
  const near = neighbours.filter((each) => each.similarity >= options.minSimilarity)
  const weights = softmax(
    near.map((each) => each.similarity),
    options.temperature,
  )
  return near.map((neighbour, index) => ({ neighbour, weight: weights[index]! }))
}

/**
 * z_0, the shape of `query.zBase`; nothing is modified. Query and neighbours are woven in one run. Positions that a neighbour
 * does not have add nothing, and alpha is not renormalised over the others: a short episode says "no shift here", it does not
 * abstain.
 *
 * @throws ServiceError SHAPE_MISMATCH when a neighbour's latents have another width; what the weaver throws.
 */
export async function transferMomentum(
  query: WeaverRow,
  neighbours: readonly WeighedNeighbour[],
  { weaver, momentum, maxShift }: TransferOptions,
): Promise<Latents> {
  const { width } = query.zBase
  const odd = neighbours.find(({ neighbour }) => neighbour.zStar.width !== width)
  if (odd !== undefined) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `momentum transfer: expected latents of width ${width}, got ${odd.neighbour.zStar.width}`,
    )
  }
  const weaves = momentum === 'residual' && weaver.version !== null
  const [start, ...woven] = await weaver.apply([query, ...(weaves ? neighbours.map(asRow) : [])])
  const limit = maxShift * norm(start!.data)
  const z0 = Float64Array.from(start!.data)
  neighbours.forEach(({ neighbour, weight }, index) => {
    const shift = shiftOf(neighbour, woven[index] ?? neighbour.zBase, z0.length)
    const length = norm(shift)
    const share = weight * (length > limit ? limit / length : 1)
    for (let i = 0; i < shift.length; i++) z0[i]! += share * shift[i]!
  })
  return { ...start!, data: Float32Array.from(z0) }
}

/** Delta_j, at most `room` values of it. */
function shiftOf({ zStar }: Neighbour, from: Latents, room: number): Float64Array {
  const shared = Math.min(room, zStar.data.length, from.data.length)
  return Float64Array.from({ length: shared }, (_, i) => zStar.data[i]! - from.data[i]!)
}

function asRow({ neighbour }: WeighedNeighbour): WeaverRow {
  const { episodeId, embedding, zBase } = neighbour
  if (embedding !== undefined) return { embedding, zBase }
  throw new ServiceError(
    'INTERNAL',
    `momentum transfer: expected the embedding of episode ${episodeId}, got none`,
  )
}
