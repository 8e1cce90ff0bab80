/** @file Trainable networks, training options and compiled training steps. */

import type { Model } from '#onnx'
import type { Tensor } from '#tensor'

/**
 * A network as a graph with a float32 scalar `loss` among its outputs. Parameters are float32 initializers,
 * so the same network is trained, exported and served.
 */
export interface TrainableModel {
  readonly model: Model
  /** Names of the trained initializers. */
  readonly parameters: readonly string[]
  readonly loss: string
}

/**
 * AdamW with global-norm clipping, linear warm-up and cosine decay to 0 (Loshchilov & Hutter, arXiv
 * 1711.05101 and 1608.03983).
 */
export interface TrainingOptions {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  /** Decoupled weight decay, applied to parameters of rank 2 and above only. */
  readonly weightDecay: number
  /** Upper bound on the L2 norm of all gradients together; larger gradients are scaled down to it. */
  readonly clipNorm: number
  readonly warmupSteps: number
  readonly totalSteps: number
}

/** A graph that takes one optimiser step per run, for `GraphRunner.load(bytes, {state, carry})`. */
export interface TrainingStep {
  readonly bytes: Uint8Array
  /** Initial parameters under their own names, their moments and the step count. */
  readonly state: Readonly<Record<string, Tensor>>
  /** Maps each name of the state to the output that replaces it after a run. */
  readonly carry: Readonly<Record<string, string>>
  /** Names of float32 scalars that can be fetched besides the model's own outputs (`loss` among them). */
  readonly outputs: { readonly gradientNorm: string; readonly lr: string }
}
