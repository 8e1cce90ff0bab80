/** @file The two trained models: the latent weaver and the latent reward model. */

import type { Latents, LatentThought } from './latents.ts'

/** W_psi of LatentEvolve (arXiv 2509.24771, Eq. 7): from a query and its first latents to where good answers start. */
export interface Weaver {
  /** Version of the trained artifact; null for the identity, which stands in until a night has trained one. */
  readonly version: string | null
  /**
   * z'_base = W(e_c, z_base) of every row, each the shape of its `zBase`, in one run.
   * @throws ServiceError SHAPE_MISMATCH when a row has another width than it was trained on, SESSION_FAILED, ENGINE_CRASHED
   */
  apply(rows: readonly WeaverRow[]): Promise<readonly Latents[]>
}

export interface WeaverRow {
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  readonly zBase: Latents
}

/** P(correct) from how an answer was thought (LTO, arXiv 2509.26314, section 3). */
export interface LatentRewardModel {
  /** Version of the trained artifact. */
  readonly version: string
  /** Calibrated P(correct) in [0, 1], in order. @throws ServiceError ARTIFACT_INVALID when a score is not a number in [0, 1] */
  score(thoughts: readonly LatentThought[]): Promise<readonly number[]>
}
