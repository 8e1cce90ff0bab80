/** @file What a trainable network looks like, and what training one takes. */

import type { Model } from '#onnx'
import type { Tensor } from '#tensor'

/**
 * A network as a graph: parameters are float32 initializers, so the same graph is trained, exported and served.
 * What trains it differentiates `loss`, a float32 scalar among its outputs.
 */
export interface TrainableModel {
  readonly model: Model
  /** Names of the initializers that are learned. */
  readonly parameters: readonly string[]
  readonly loss: string
}

/** AdamW with global-norm clipping, linear warm-up and cosine decay to 0 (Loshchilov & Hutter, arXiv 1711.05101 and 1608.03983). */
export interface TrainingOptions {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /** Decoupled; on parameters of rank 2 and above only. */
  readonly weightDecay: number
  /** Largest L2 norm of all gradients together. */
  readonly clipNorm: number
  readonly warmupSteps: number
  readonly totalSteps: number
}

/** A graph that takes one optimiser step per run; made for `GraphRunner.load(bytes, {state, carry})`. */
export interface TrainingStep {
  readonly bytes: Uint8Array
  /** Parameters under their own names, their moments and the step count, as they are before the first run. */
  readonly state: Readonly<Record<string, Tensor>>
  readonly carry: Readonly<Record<string, string>>
  /** Fetchable besides the model's own outputs (`loss` among them), float32 scalars. */
  readonly outputs: { readonly gradientNorm: string; readonly lr: string }
}
