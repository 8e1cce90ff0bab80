/** @file What a latent reward model is trained on, and what comes of it. */

import type { LatentThought } from '#ports'
import type { Figure } from '../training/training-result.ts'

/** One judged answer whose label is known. */
export interface LabelledThought {
  /** The same for every answer to the same question: splits never cut through it. */
  readonly question: string
  readonly thought: LatentThought
  readonly correct: boolean
  /** Trust in the label, in (0, 1]: the weight of this answer in training. */
  readonly weight: number
  /** The label is somebody's word (feedback, reference), not a guess: what figures are measured on, where there are any. */
  readonly trusted: boolean
}

export interface TrainedRewardModel {
  /** ONNX: `thoughts` float32 [N, L+1, D] to `probability` float32 [N], standardising and calibration inside. */
  readonly model: Uint8Array
  readonly features: { readonly layers: number; readonly width: number }
  readonly options: Readonly<Record<string, unknown>>
  /** Measured on questions it never saw: auc, f1, accuracy, ece; `linear.auc` of the probe beside it. */
  readonly metrics: Readonly<Record<string, Figure>>
  /** Which of the examples those were: a rival is judged on the same. */
  readonly heldOut: readonly number[]
}
