/** @file The LM head alone, as LatentSeek moves latents through it. Shapes: `S` latent positions, `D` width, `M` rollouts. */

import type { Latents } from './latents.ts'

/** First and second moments of Adam and the number of updates done so far. */
export interface AdamState {
  readonly m: Float32Array
  readonly v: Float32Array
  readonly step: number
}

export interface AscentOptions {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly temperature: number
}

export interface AscentRequest extends AscentOptions {
  readonly latents: Latents
  readonly adam: AdamState
  /** Token actions a, `M` rollouts of `S` tokens each. */
  readonly actions: readonly (readonly number[])[]
  /** Advantage A_m of each rollout. */
  readonly advantages: readonly number[]
  /** Stop early once argmax(z) differs from `actions[0]` ("until the tokens change"), or after this many updates. */
  readonly maxSteps: number
  readonly untilChanged: boolean
}

export interface AscentResult {
  readonly latents: Latents
  readonly adam: AdamState
  /** Updates done by this call. */
  readonly steps: number
  /** argmax of the LM head at the new latents, `S` tokens. */
  readonly tokens: readonly number[]
}

/** The LM head alone: the only part of the model that LatentSeek differentiates (LatentSeek Eq. 6-7). */
export interface LatentHead {
  /** Adam ascent of (1/M) sum_m A_m sum_t log p(a_t^m | z_t) on the latents. */
  ascend(request: AscentRequest, signal: AbortSignal): Promise<AscentResult>
  /** argmax tokens of the LM head, `S` of them. */
  decode(latents: Latents, signal: AbortSignal): Promise<readonly number[]>
  /** `M` token actions sampled from softmax(head(z)/temperature), `[M][S]`; seeded. */
  sample(
    latents: Latents,
    options: { readonly rollouts: number; readonly temperature: number; readonly seed: number },
    signal: AbortSignal,
  ): Promise<readonly (readonly number[])[]>
}
