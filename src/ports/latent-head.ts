/**
 * @file The LM head without the rest of the model: what LatentSeek differentiates (arXiv 2505.13308, Eq.
 * 6-7).
 * Shapes: `S` latent positions, `D` width, `M` rollouts.
 */

import type { Latents } from './latents.ts'

/** Adam's first and second moments, `[S, D]` each, row-major, and the number of updates done so far. */
export interface AdamState {
  readonly m: Float32Array
  readonly v: Float32Array
  readonly step: number
}

/** Constants of Adam, and the temperature of the head's softmax. */
export interface AscentOptions {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly temperature: number
}

export interface AscentRequest extends AscentOptions {
  /** Latents to start from, `[S, D]`; not modified. */
  readonly latents: Latents
  readonly adam: AdamState
  /** Token actions a, `M` rollouts of `S` tokens each. */
  readonly actions: readonly (readonly number[])[]
  /** Advantage A_m of each rollout, `M` of them. */
  readonly advantages: readonly number[]
  /** Upper bound on the number of updates. */
  readonly maxSteps: number
  /** True: stop before `maxSteps` as soon as argmax(z) differs from `actions[0]`. */
  readonly untilChanged: boolean
}

export interface AscentResult {
  /** Latents after the updates, `[S, D]`. */
  readonly latents: Latents
  readonly adam: AdamState
  /** Number of updates done by this call. */
  readonly steps: number
  /** argmax of the LM head at the new latents, `S` tokens. */
  readonly tokens: readonly number[]
}

/** A token, and its probability in the softmax over the whole vocabulary. */
export interface LikelyToken {
  readonly token: number
  readonly probability: number
}

/**
 * The LM head. Every method throws ServiceError ABORTED when its signal fires, ENGINE_CRASHED, or
 * ENGINE_UNAVAILABLE.
 */
export interface LatentHead {
  /** Performs Adam ascent of (1/M) sum_m A_m sum_t log p(a_t^m | z_t) on the latents. */
  ascend(request: AscentRequest, signal: AbortSignal): Promise<AscentResult>
  /** Returns the argmax tokens of the LM head, `S` of them. */
  decode(latents: Latents, signal: AbortSignal): Promise<readonly number[]>
  /** Returns the `count` most likely tokens of each latent, in descending order, `[S][count]`; `count` at least 1. */
  likelyTokens(
    latents: Latents,
    count: number,
    signal: AbortSignal,
  ): Promise<readonly (readonly LikelyToken[])[]>
  /**
   * Returns `M` token actions sampled from softmax(head(z)/temperature) over the most likely tokens, as many as
   * the engine's bound allows, `[M][S]`. The same seed gives the same tokens.
   */
  sample(
    latents: Latents,
    options: { readonly rollouts: number; readonly temperature: number; readonly seed: number },
    signal: AbortSignal,
  ): Promise<readonly (readonly number[])[]>
}
