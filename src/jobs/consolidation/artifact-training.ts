/** @file What a consolidation needs to know about a kind of artifact; one object for each kind. */

import type { GraphRunner } from '#algorithms'
import type { Artifact, ArtifactManifest, EpisodeKey, Metrics } from '#artifacts'
import type { TrainingMaterial, TrainingStore } from '#episodes'

/** Where a trained model is judged: answers to questions that it never saw, by their place in the memory. */
export interface HeldOutAnswer extends EpisodeKey {
  readonly position: number
}

export interface TrainingContext {
  readonly fingerprint: string
  readonly training: Pick<TrainingStore, 'labelledThoughts'>
  /** The training process; it is started when it first has something to do. */
  readonly runner: GraphRunner
  /** The same in every attempt. */
  readonly seed: number
  readonly signal: AbortSignal
  /** Share that is done, in [0, 1]. */
  readonly report: (share: number) => void
}

export interface Trained {
  /** ONNX. */
  readonly bytes: Uint8Array
  readonly manifest: Pick<ArtifactManifest, 'features' | 'options' | 'episodes'>
  readonly metrics: Metrics
  readonly heldOut: readonly HeldOutAnswer[]
}

/** A version with its bytes, as the store has checked them. */
export interface Contestant {
  readonly artifact: Artifact
  readonly bytes: Uint8Array
}

export interface TrialOptions extends Omit<TrainingContext, 'report'> {
  readonly candidate: Contestant
  /** What serves now; null when nothing does, or it is no measure. */
  readonly rival: Contestant | null
  readonly heldOut: readonly HeldOutAnswer[]
}

export interface TrialVerdict {
  readonly promoted: boolean
  readonly reason: string
  readonly metrics: Metrics
  readonly baseline: Metrics
}

export interface ArtifactTraining {
  /** What its episodes must have. */
  readonly material: TrainingMaterial
  train(
    context: TrainingContext,
    episodes: readonly EpisodeKey[],
  ): Promise<Trained | { readonly skipped: string }>
  /** Whether the candidate may serve. @throws ServiceError ARTIFACT_INVALID when its bytes are no such model */
  judge(options: TrialOptions): Promise<TrialVerdict>
}
