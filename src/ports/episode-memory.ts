/**
 * @file Episode memory: the search for episodes near a query, as the store provides it. Shapes: `S` latent
 * positions, `D` width.
 */

import type { Latents } from './latents.ts'

/** Stored episode near a query. */
export interface Neighbour {
  readonly episodeId: string
  /** Cosine similarity of the centred, normalised embeddings, in [-1, 1]. */
  readonly similarity: number
  /** First latents of the answer before the search, `[S, D]`. */
  readonly zBase: Latents
  /** Latents that led to the returned answer, `[S, D]`. */
  readonly zStar: Latents
  /**
   * Query embedding of the episode, centred and normalised, `[D]`: a trained weaver recomputes the shift
   * from it.
   */
  readonly embedding?: Float32Array
  /** Its answer, and the rules of that key, where feedback or a reference calls it right. */
  readonly confirmed?: { readonly answer: string; readonly answerRules: string }
}

export interface NeighbourQuery {
  readonly tenantId: string
  /** Fingerprint of the model; episodes of other models are never returned. */
  readonly fingerprint: string
  /** Query embedding, centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  /** Upper bound on the number of neighbours. */
  readonly topK: number
  /** Lower bound on the cosine similarity, in [-1, 1]. */
  readonly minSimilarity: number
  /** Ids of episodes to ignore, as if they were not stored; none unless given. */
  readonly exclude?: readonly string[]
}

/** What is asked of memory before a question is answered. */
export interface RecollectionQuery extends NeighbourQuery {
  /** Question as an episode stores it. */
  readonly question: string
  /** Rules of the keys of the answers to come; keys of other rules are not compared with them. */
  readonly answerRules: string
}

/** Answer that callers called wrong, as its key under the rules of the query. */
export interface RefutedAnswer {
  readonly answer: string
  /** Newest episode that returned it and was called wrong. */
  readonly episodeId: string
}

export interface Recollection {
  /** As `EpisodeMemory.nearest`. */
  readonly neighbours: readonly Neighbour[]
  /** Each answer once. */
  readonly refuted: readonly RefutedAnswer[]
}

export interface EpisodeMemory {
  /**
   * Returns the `topK` most similar admitted episodes of the same tenant and model, most similar first.
   *
   * @param signal deadline of the caller
   * @throws ServiceError STORE_UNAVAILABLE, also when `signal` fires first
   */
  nearest(query: NeighbourQuery, signal?: AbortSignal): Promise<readonly Neighbour[]>
  /**
   * Returns, in one round trip, the nearest episodes, and the answers to near-identical questions (a cosine similarity of .999
   * or more) that feedback or a reference calls wrong, unless a newer episode confirms the same answer to the same text.
   * Feedback outweighs a reference, however old. With a `topK` of 0 there are no neighbours.
   *
   * @param signal deadline of the caller
   * @throws ServiceError STORE_UNAVAILABLE, also when `signal` fires first
   */
  recollect(query: RecollectionQuery, signal?: AbortSignal): Promise<Recollection>
}
