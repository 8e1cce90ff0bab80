/** @file Training examples of a latent reward model, and the trained model. */

import type { LatentThought } from '#ports'
import type { Figure } from '../training/training-result.ts'

/** Latent thought of one answer with its label. */
export interface LabelledThought {
  /** Text of the question; a split never separates answers to the same question. */
  readonly question: string
  readonly thought: LatentThought
  readonly correct: boolean
  /** Confidence in the label, in (0, 1]: the weight of this answer in training. */
  readonly weight: number
  /**
   * True when the label comes from feedback or a reference. Figures are measured on trusted labels when
   * there are enough.
   */
  readonly trusted: boolean
}

export interface TrainedRewardModel {
  /**
   * ONNX graph from `thoughts`, float32 [N, L + 1, D], to `probability`, float32 [N], standardisation and
   * calibration included.
   */
  readonly model: Uint8Array
  /** Sizes of the thoughts: L + 1 and D. */
  readonly features: { readonly layers: number; readonly width: number }
  /** Options and facts of the training, for the manifest. */
  readonly options: Readonly<Record<string, unknown>>
  /** Figures on held-out questions: auc, f1, accuracy, ece; and `linear.auc` of the linear probe. */
  readonly metrics: Readonly<Record<string, Figure>>
  /** Indices of the examples measured on; the gate compares the active version on the same ones. */
  readonly heldOut: readonly number[]
}
