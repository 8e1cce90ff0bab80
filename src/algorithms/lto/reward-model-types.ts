/** @file Training examples of a latent reward model, and the trained model. */

import type { LatentThought } from '#ports'
import type { Figure, Part } from '../training/training-result.ts'
import type { FormName } from './forms/reward-form.ts'

/** Source of a label, most trusted first; `self` is the judgement of the model's own verifier. */
export type LabelKind = 'feedback' | 'reference' | 'majority' | 'self'

/** Latent thought of one answer with its label. */
export interface LabelledThought {
  /** Text of the question; training compares the answers to one question. */
  readonly question: string
  /** Cluster of near-duplicates that the question belongs to. */
  readonly cluster: string
  /** Part of the split; the same for all examples of a cluster. */
  readonly part: Part
  readonly thought: LatentThought
  readonly correct: boolean
  /** Confidence in the label, in (0, 1]: the weight of this answer in training. */
  readonly weight: number
  /** Source of the label. Figures are never measured on `self` labels. */
  readonly source: LabelKind
}

/** Labelled thought of which only the shape is known: enough to decide whether training is possible. */
export interface DescribedThought extends Omit<LabelledThought, 'thought'> {
  readonly thought: Pick<LatentThought, 'layers' | 'width'>
}

export interface TrainedRewardModel {
  /**
   * ONNX graph from `thoughts`, float32 [N, T, D], to `probability`, float32 [N], standardisation and
   * calibration included; of the form `gated` see `encodeGatedModel`.
   */
  readonly model: Uint8Array
  /**
   * What it reads: its form, and the layers and the width of the states: L + 1 (`mean`) or K (`last`, `gated`), and
   * D.
   */
  readonly features: { readonly form: FormName; readonly layers: number; readonly width: number }
  /** Options and facts of the training, for the manifest. */
  readonly options: Readonly<Record<string, unknown>>
  /**
   * Figures on held-out answers: auc, f1, accuracy, ece, `linear.auc` and `transformer.auc` of the networks of
   * `mean`, `last.auc` and `gated.auc` of the other forms that were trained; auc, f1, accuracy and ece on locked
   * answers, prefixed `locked.`. `<form>.calibrationAuc` is the within-question AUC by which the form was chosen.
   */
  readonly metrics: Readonly<Record<string, Figure>>
  /** Indices of the held-out examples whose label is not `self`; the gate decides on these. */
  readonly heldOut: readonly number[]
  /** Indices of the locked examples whose label is not `self`; figures on them decide nothing. */
  readonly locked: readonly number[]
}
