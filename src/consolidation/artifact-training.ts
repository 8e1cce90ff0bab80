/** @file What a consolidation needs to know about a kind of artifact; one object for each kind. */

import type { Artifact, ArtifactManifest, EpisodeKey, Metrics } from '#artifacts'
import type { EpisodeStore, TrainingMaterial, TrainingStore } from '#episodes'
import type { GraphRunner } from '#ports'
import type { ConsolidationLogger, OpenReplayEngine } from './context.ts'

/**
 * Where a trained model is judged: questions that it never saw, by an episode that asks them; or a single answer to one, by its
 * place there.
 */
export interface HeldOutAnswer extends EpisodeKey {
  readonly position?: number
}

export interface TrainingContext {
  readonly fingerprint: string
  readonly training: Pick<TrainingStore, 'labelledThoughts' | 'latentPairs' | 'heldOutQuestions'>
  /** The training process; it is started when it first has something to do. */
  readonly runner: GraphRunner
  /** The same in every attempt. */
  readonly seed: number
  readonly signal: AbortSignal
  /** Share that is done, in [0, 1]. */
  readonly report: (share: number) => void
  /** What serves now, to start from; null when nothing does, or it is no measure. */
  readonly active: ArtifactBytes | null
}

export interface Trained {
  /** ONNX. */
  readonly bytes: Uint8Array
  readonly manifest: Pick<ArtifactManifest, 'features' | 'options' | 'episodes'>
  readonly metrics: Metrics
  readonly heldOut: readonly HeldOutAnswer[]
  /** Of training, by name. */
  readonly losses: Readonly<Record<string, number>>
  /** Episodes of the snapshot that were left out, by reason. */
  readonly rejected: Readonly<Record<string, number>>
}

/** A version with its bytes, as the store has checked them. */
export interface ArtifactBytes {
  readonly artifact: Artifact
  readonly bytes: Uint8Array
}

export interface TrialOptions extends Omit<TrainingContext, 'active'> {
  readonly candidate: ArtifactBytes
  /** What serves now; null when nothing does, or it is no measure. */
  readonly incumbent: ArtifactBytes | null
  readonly heldOut: readonly HeldOutAnswer[]
  readonly openReplayEngine: OpenReplayEngine
  /** The memory that replays may ask. */
  readonly episodes: EpisodeStore
  readonly logger: ConsolidationLogger
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
  /** Loads a version as serving would. @throws ServiceError ARTIFACT_INVALID when its bytes are no such model */
  open(runner: GraphRunner, version: ArtifactBytes): Promise<{ close(): Promise<void> }>
  /** Whether the candidate may serve. @throws ServiceError ARTIFACT_INVALID when its bytes are no such model */
  judge(options: TrialOptions): Promise<TrialVerdict>
}
