/**
 * @file The trained models: the latent weaver, the latent reward model and the fused judge. Shapes: `S` positions, `D`
 * width.
 */

import type { Latents, LatentThought, TokenMaps } from './latents.ts'
import type { Policy } from './policy.ts'

/**
 * Latent weaver, W_psi of LatentEvolve (arXiv 2509.24771, Eq. 7): maps a query and its first latents to
 * better ones.
 */
export interface Weaver {
  /**
   * Version of the trained artifact; null for the identity, used until a consolidation has trained a weaver.
   */
  readonly version: string | null
  /**
   * Returns z'_base = W(e_c, z_base) of every row, in order, each the shape of its `zBase`. Rows are
   * batched.
   *
   * @throws ServiceError SHAPE_MISMATCH when a row's width is not the one that the weaver was trained on;
   *   ARTIFACT_INVALID when the weaver returns a number that is not finite; SESSION_FAILED; ENGINE_CRASHED;
   *   ENGINE_UNAVAILABLE
   */
  apply(rows: readonly WeaverRow[]): Promise<readonly Latents[]>
}

export interface WeaverRow {
  /** Query embedding e_c, centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  /** First latents of the answer, `[S, D]`. */
  readonly zBase: Latents
}

/**
 * Latent reward model: estimates P(correct) from the latent thought of an answer (LTO, arXiv 2509.26314,
 * section 3).
 */
export interface LatentRewardModel {
  /** Version of the trained artifact. */
  readonly version: string
  /** Maps that the sessions of its thoughts must be opened with; absent when it needs none. */
  readonly tokenMaps?: TokenMaps
  /**
   * Returns the calibrated P(correct) of every thought, in [0, 1], in order.
   *
   * @throws ServiceError ARTIFACT_INVALID when a score is not a number in [0, 1]; SHAPE_MISMATCH when a
   *   thought has another shape than the model was trained on; SESSION_FAILED; ENGINE_CRASHED;
   *   ENGINE_UNAVAILABLE
   */
  score(thoughts: readonly LatentThought[]): Promise<readonly number[]>
}

/** What is known of a judged answer; the fused judge weighs it. */
export interface JudgedAnswer {
  /** Reward under the weights of the model profile, in [-1, 0]. */
  readonly reward: number
  /** Terms of its reward, each in [-1, 0]. */
  readonly terms: Readonly<Record<string, number>>
  /** Means over its tokens whose signals are known, in nats; null when none are. */
  readonly logProbability: number | null
  readonly selfCertainty: number | null
  /**
   * P(correct) by the latent reward model, in [0, 1]; null without an estimate. `withheld`: the model was trained on the answer,
   * and is surer of it than it will be of others.
   */
  readonly confidence: number | 'withheld' | null
  /**
   * Share of the other answers of the request, its greedy draft and its samples, that are the same, in [0, 1]; null when there
   * is no other one.
   * `withheld`: there are others, but the answer's label was made of them, so a judge must neither learn nor be measured by it.
   */
  readonly agreement: number | 'withheld' | null
  /** Number of its tokens. */
  readonly tokens: number
}

/** Fused judge: one calibrated P(correct) from all that is known of an answer. */
export interface FusedJudge {
  /** Version of the trained artifact. */
  readonly version: string
  /** Returns the calibrated P(correct) of every answer, in (0, 1), in order. */
  score(answers: readonly JudgedAnswer[]): Promise<readonly number[]>
  /** Policy that was measured on its own P(correct); null when none was, or none paid. */
  readonly policy: Policy | null
}
