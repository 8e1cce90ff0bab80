/** @file The memory that an algorithm may ask for episodes near a query. */

import type { Latents } from './latents.ts'

/** A remembered episode near a query. */
export interface Neighbour {
  readonly episodeId: string
  /** Cosine similarity of the centred, normalised embeddings, in [-1, 1]. */
  readonly similarity: number
  readonly zBase: Latents
  readonly zStar: Latents
  /** Its query embedding, centred and normalised, `[D]`: what a trained weaver needs to recompute its shift. */
  readonly embedding?: Float32Array
}

export interface NeighbourQuery {
  readonly tenantId: string
  readonly fingerprint: string
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  readonly topK: number
  readonly minSimilarity: number
  /** Episodes that are passed over, as if they had never been; none unless given. */
  readonly exclude?: readonly string[]
}

export interface EpisodeMemory {
  /** The `topK` most similar admitted episodes of the same tenant and model, most similar first. */
  nearest(query: NeighbourQuery): Promise<readonly Neighbour[]>
}
