/** @file What nights learn from: the episodes of one model, across its tenants. */

import type { Latents, LatentThought } from '#ports'
import type { LabelSource } from './episode.ts'

export interface TrainingKey {
  readonly tenantId: string
  readonly episodeId: string
}

/** Labelled thoughts teach the latent reward model, latents the weaver. */
export type TrainingMaterial = 'thoughts' | 'latents'

export interface SnapshotRequest {
  readonly fingerprint: string
  readonly material: TrainingMaterial
  /** Episodes at most; all unless given. */
  readonly limit?: number
  /** Largest share of the snapshot that one tenant may fill, in (0, 1]; 1 is no bound. Tenants too few for it get equal parts. */
  readonly maxTenantShare: number
  /** As many episodes a tenant may bring whatever its share is; 200, a night's worth, unless given. */
  readonly minPerTenant?: number
}

/** Every episode of the model is counted once: `episodes` is the sum of the others. */
export interface SnapshotCounts {
  readonly episodes: number
  /** Not indexed yet, so without labels. */
  readonly pending: number
  /** Without the material: no candidate has both label and thought; or not admitted, or without latents. */
  readonly unusable: number
  /** Older ones of a tenant that has more than its share. */
  readonly overShare: number
  /** Older ones beyond the limit, taken from those who have most. */
  readonly overLimit: number
  readonly kept: number
}

export interface TrainingSnapshot {
  /** Newest first. */
  readonly episodes: readonly TrainingKey[]
  readonly counts: SnapshotCounts
  /** When the newest episode of the model was made, usable or not; null when there is none. For `countSince`. */
  readonly newestAt: Date | null
}

/** How one answer was thought, and whether it is right. */
export interface StoredThought extends TrainingKey {
  /** Of the candidate in its episode. */
  readonly position: number
  readonly question: string
  readonly thought: LatentThought
  readonly label: boolean
  readonly labelSource: LabelSource
}

/** What an episode remembers of its search, as somebody's neighbour sees it. */
export interface StoredLatents extends TrainingKey {
  readonly question: string
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  readonly zBase: Latents
  readonly zStar: Latents
  /** Of the answer that was returned. */
  readonly label: boolean | null
  readonly labelSource: LabelSource | null
}

/** A question to judge a candidate by. */
export interface HeldOutQuestion {
  readonly tenantId: string
  readonly question: string
  /** What somebody said is right: feedback, or else the reference that came with it; null when nobody did. */
  readonly reference: string | null
  /** Every episode of this tenant and model that asks it: they would give it away. */
  readonly episodeIds: readonly string[]
}

/**
 * The only one that works across tenants: a model's artifacts are trained on all of them. Nothing of it reaches a request.
 *
 * @throws ServiceError STORE_UNAVAILABLE from every method
 */
export interface TrainingStore {
  /** Which indexed episodes there are to learn from. */
  snapshot(request: SnapshotRequest): Promise<TrainingSnapshot>
  /**
   * The labelled candidates of these episodes that have a thought, in the order of `episodes` and of their positions; read in
   * pages. Episodes that were deleted meanwhile, or are another model's, are left out.
   */
  labelledThoughts(fingerprint: string, episodes: readonly TrainingKey[]): AsyncIterable<StoredThought>
  /** The latents of those of these episodes that may steer others, in the order of `episodes`; else as above. */
  latentPairs(fingerprint: string, episodes: readonly TrainingKey[]): AsyncIterable<StoredLatents>
  /** The questions of these episodes, each once, in their order, `limit` at most; what is gone is left out. */
  heldOutQuestions(
    fingerprint: string,
    episodes: readonly TrainingKey[],
    limit: number,
  ): Promise<readonly HeldOutQuestion[]>
  /** Fingerprints of all models that episodes are of. */
  models(): Promise<readonly string[]>
  /** See `excludeDominated`; of every tenant of the model that is named. @returns how many episodes stopped steering */
  excludeDominated(fingerprint: string, tenants: readonly string[]): Promise<number>
  /** Episodes of the model, in any state, that are newer than `since`; null counts all. */
  countSince(fingerprint: string, since: Date | null): Promise<number>
}
