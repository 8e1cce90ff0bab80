/**
 * @file Momentum transfer: what similar requests taught, added to the latents that the search starts from.
 *
 * Paper: LatentEvolve (arXiv 2509.24771), Eq. 5: z_0 = z'_base + sum_j alpha_j Delta_j, alpha = softmax(s_j / t).
 * Deviates: Delta_j = z*_j - W(e_j, z_base,j) with the active weaver (the paper's z*_j - z_base,j would add a second time
 * what W has learned; the same while W is the identity); a similarity floor; the norm of the whole shift is clipped.
 */

import { ServiceError } from '#errors'
import { norm, softmax } from '#tensor'
import type { Latents, Neighbour, Weaver } from '../ports.ts'

export interface WeighingOptions {
  /** t of the softmax over similarities; 1 in the paper. */
  readonly temperature: number
  /** Neighbours below it weigh nothing: far from memory the search starts where it would without one. */
  readonly minSimilarity: number
}

export interface TransferOptions {
  readonly weaver: Weaver
  /** Largest L2 norm of the whole shift, in units of the norm of what it is added to. */
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
 * z_0 `[S, D]`, the same shape as `woven` (= W(e_c, z_base), not modified). Positions that a neighbour does not have add
 * nothing, and alpha is not renormalised over the others: a short episode says "no shift here", it does not abstain.
 *
 * @throws ServiceError SHAPE_MISMATCH when a neighbour's latents have another width.
 */
export async function transferMomentum(
  woven: Latents,
  neighbours: readonly WeighedNeighbour[],
  { weaver, maxShift }: TransferOptions,
): Promise<Latents> {
  const shift = new Float64Array(woven.data.length)
  for (const { neighbour, weight } of neighbours) {
    if (neighbour.zStar.width !== woven.width) {
      throw new ServiceError(
        'SHAPE_MISMATCH',
        `momentum transfer: expected latents of width ${woven.width}, got ${neighbour.zStar.width}`,
      )
    }
    const from = await wovenBase(neighbour, weaver)
    const shared = Math.min(shift.length, neighbour.zStar.data.length, from.data.length)
    for (let i = 0; i < shared; i++) shift[i]! += weight * (neighbour.zStar.data[i]! - from.data[i]!)
  }
  const length = norm(shift)
  const limit = maxShift * norm(woven.data)
  const scale = length > limit ? limit / length : 1
  return { ...woven, data: woven.data.map((value, i) => value + scale * shift[i]!) }
}

async function wovenBase(neighbour: Neighbour, weaver: Weaver): Promise<Latents> {
  if (weaver.version === null) return neighbour.zBase
  if (neighbour.embedding === undefined) {
    throw new ServiceError(
      'INTERNAL',
      `momentum transfer: expected the embedding of episode ${neighbour.episodeId}, got none`,
    )
  }
  return weaver.apply(neighbour.embedding, neighbour.zBase)
}
