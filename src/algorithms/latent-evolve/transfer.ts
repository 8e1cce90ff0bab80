/**
 * @file Momentum transfer: adds the shifts of similar episodes to the latents that the search starts from.
 *
 * Paper: LatentEvolve (arXiv 2509.24771), Eq. 5 and 8:
 * z_0 = W(e_c, z_base) + sum_j alpha_j Delta_j, alpha = softmax(s_j / t).
 * Deviates: Delta_j = z*_j - W(e_j, z_base,j) with the active weaver, unless `momentum` is `paper` (the
 * paper's z*_j - z_base,j adds a second time the shift that W has learned; both are equal while W is the
 * identity); a similarity floor; the norm of every Delta_j is clipped, so that one poisoned neighbour has no
 * more influence than its alpha; Delta_j counts only at positions where both drafts have the same tokens so far
 * (`agreeingPositions`), because a latent means something after its prefix only.
 */

import { ServiceError } from '#errors'
import type { Latents, Neighbour, Weaver, WeaverRow } from '#ports'
import { norm, softmax } from '#tensor'

export interface WeighingOptions {
  /** Temperature t of the softmax over similarities; 1 in the paper. */
  readonly temperature: number
  /**
   * Similarity below which a neighbour is ignored, so that a query far from all episodes starts as without
   * memory.
   */
  readonly minSimilarity: number
}

/**
 * Origin of a neighbour's shift: `residual` measures it from W(e_j, z_base,j), `paper` from z_base,j itself.
 */
export type Momentum = 'residual' | 'paper'

export interface TransferOptions {
  readonly weaver: Weaver
  readonly momentum: Momentum
  /**
   * Upper bound on the L2 norm of each neighbour's shift, and so of their sum, in norms of the latents they
   * are added to.
   */
  readonly maxShift: number
  /** Number of leading positions at which the shift of each neighbour counts, in order; all unless given. */
  readonly positions?: readonly number[]
}

/** Neighbour and its weight alpha_j. */
export interface WeighedNeighbour {
  readonly neighbour: Neighbour
  readonly weight: number
}

/**
 * Computes alpha over the neighbours at or above the similarity floor and leaves out the others. Sums to 1
 * unless empty.
 */
export function weighNeighbours(
  neighbours: readonly Neighbour[],
  options: WeighingOptions,
): readonly WeighedNeighbour[] {
  const similar = neighbours.filter((each) => each.similarity >= options.minSimilarity)
  const weights = softmax(
    similar.map((each) => each.similarity),
    options.temperature,
  )
  return similar.map((neighbour, index) => ({ neighbour, weight: weights[index]! }))
}

/** First tokens of an episode, as its latents decode to them. */
export interface EpisodeTokens {
  /** Tokens of z_base. */
  readonly base: readonly number[]
  /** Tokens of z*. */
  readonly star: readonly number[]
}

/**
 * Returns the number of leading positions at which the shift of an episode means the same in another draft: those up
 * to which the drafts have equal tokens, its own included, and not beyond the first token at which the episode's answer
 * leaves its draft. After that token z* belongs to another prefix than z_base.
 *
 * @param draft tokens of the other draft
 */
export function agreeingPositions(draft: readonly number[], { base, star }: EpisodeTokens): number {
  const apart = base.findIndex((token, position) => token !== draft[position])
  const flip = base.findIndex((token, position) => token !== star[position])
  return Math.min(apart === -1 ? base.length : apart, flip === -1 ? base.length : flip + 1)
}

/**
 * Returns z_0, the shape of `query.zBase`; nothing is modified. Query and neighbours go to the weaver in one
 * call. A neighbour adds nothing at positions that it lacks, and alpha is not renormalised over the others:
 * a short episode counts as a shift of 0 there.
 *
 * @throws ServiceError SHAPE_MISMATCH when a neighbour's latents have another width; INTERNAL when a
 *   neighbour lacks the embedding that the weaver needs; any error of the weaver.
 */
export async function transferMomentum(
  query: WeaverRow,
  neighbours: readonly WeighedNeighbour[],
  { weaver, momentum, maxShift, positions }: TransferOptions,
): Promise<Latents> {
  const { width } = query.zBase
  const odd = neighbours.find(({ neighbour }) => neighbour.zStar.width !== width)
  if (odd !== undefined) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `momentum transfer: expected latents of width ${width}, got ${odd.neighbour.zStar.width}`,
    )
  }
  const weavesNeighbours = momentum === 'residual' && weaver.version !== null
  const [start, ...woven] = await weaver.apply([query, ...(weavesNeighbours ? neighbours.map(asRow) : [])])
  const limit = maxShift * norm(start!.data)
  const z0 = Float64Array.from(start!.data)
  neighbours.forEach(({ neighbour, weight }, index) => {
    const maxValues = Math.min(z0.length, (positions?.[index] ?? Number.POSITIVE_INFINITY) * width)
    const shift = shiftOf(neighbour, woven[index] ?? neighbour.zBase, maxValues)
    const length = norm(shift)
    const share = weight * (length > limit ? limit / length : 1)
    for (let i = 0; i < shift.length; i++) z0[i]! += share * shift[i]!
  })
  return { ...start!, data: Float32Array.from(z0) }
}

/** Delta_j, at most its first `maxValues` values. */
function shiftOf({ zStar }: Neighbour, from: Latents, maxValues: number): Float64Array {
  const shared = Math.min(maxValues, zStar.data.length, from.data.length)
  const shift = new Float64Array(shared)
  // A loop, because `from` with a function takes ten times as long.
  for (let i = 0; i < shared; i++) shift[i] = zStar.data[i]! - from.data[i]!
  return shift
}

function asRow({ neighbour }: WeighedNeighbour): WeaverRow {
  const { episodeId, embedding, zBase } = neighbour
  if (embedding !== undefined) return { embedding, zBase }
  throw new ServiceError(
    'INTERNAL',
    `momentum transfer: expected the embedding of episode ${episodeId}, got none`,
  )
}
