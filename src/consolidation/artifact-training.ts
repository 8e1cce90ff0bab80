/** @file Interface of a kind of artifact: training, loading, judging; conversions that the kinds share. */

import type { Figure, GateVerdict } from '#algorithms'
import type { Artifact, ArtifactManifest, EpisodeKey, Metrics, ReportedKind } from '#artifacts'
import type { EpisodeStore, TrainingMaterial, TrainingStore } from '#episodes'
import type { GraphRunner, TaskRunner } from '#ports'
import type { ConsolidationLogger, OpenReplayEngine } from './context.ts'
import type { SplitLookup } from './split-night.ts'
import type { Skipped } from './steps.ts'

/**
 * Place of a held-out example, on which a trained model is judged: the episode whose question it never saw,
 * and for a single answer of that episode its position.
 */
export interface HeldOutAnswer extends EpisodeKey {
  readonly position?: number
  /** Cluster of near-duplicates that the question belongs to; intervals resample clusters. */
  readonly cluster?: string
}

export interface TrainingContext {
  readonly fingerprint: string
  readonly training: Pick<
    TrainingStore,
    'labelledThoughts' | 'labelledAnswers' | 'latentPairs' | 'heldOutQuestions'
  >
  /** Part and cluster of each episode. */
  readonly split: SplitLookup
  /** Training process; starts on its first use. */
  readonly runner: GraphRunner & TaskRunner
  /** Seed of all randomness; the same in every attempt. */
  readonly seed: number
  readonly signal: AbortSignal
  /** Reports the share of the step that is done, in [0, 1]. */
  readonly report: (share: number) => void
  /** Active version, for a warm start; null when there is none that may be used (see `findWarmStart`). */
  readonly active: ArtifactBytes | null
  readonly openReplayEngine: OpenReplayEngine
  readonly logger: ConsolidationLogger
  /**
   * Reads the active latent reward model, whose estimate the fused judge weighs, and with which the weaver's replays solve; null
   * when none can be loaded.
   */
  readonly rewardModel: () => Promise<ActiveRewardModel | null>
}

export interface Trained {
  /** ONNX. */
  readonly bytes: Uint8Array
  readonly manifest: Pick<ArtifactManifest, 'features' | 'options' | 'episodes'>
  readonly metrics: Metrics
  readonly heldOut: readonly HeldOutAnswer[]
  /** Locked examples: no training and no gate reads them. */
  readonly locked: readonly HeldOutAnswer[]
  /** Losses of the training, by name. */
  readonly losses: Readonly<Record<string, number>>
  /** Weights of a model that is small enough to read, by name; none unless given. */
  readonly weights?: Readonly<Record<string, number>>
  /** Bands of the policy that it holds, those of an effort in ascending order; none unless given. */
  readonly policy?: ReportedKind['policy']
  /** Numbers of episodes of the snapshot that were left out, by reason. */
  readonly rejected: Readonly<Record<string, number>>
}

/** A version with its bytes, whose hash the store has checked. */
export interface ArtifactBytes {
  readonly artifact: Artifact
  readonly bytes: Uint8Array
}

/** Active latent reward model. */
export interface ActiveRewardModel extends ArtifactBytes {
  /** Names (`nameOf`) of the episodes whose thoughts it has been trained on; not of those that only calibrated it this night. */
  readonly trainedOn: ReadonlySet<string>
}

export interface TrialOptions extends Omit<TrainingContext, 'active' | 'split'> {
  readonly candidate: ArtifactBytes
  /** Reads the active fused judge, with which the weaver's replays solve; null when none can be loaded. */
  readonly fusedJudge: () => Promise<ArtifactBytes | null>
  /** Active version to compare with; null when there is none that may be used (see `findRivals`). */
  readonly incumbent: ArtifactBytes | null
  /** Anchor of the kind, when it is another version than the incumbent; else null. */
  readonly anchor: ArtifactBytes | null
  /** Whether the kind has an anchor, which may be the incumbent, or be damaged. */
  readonly hasAnchor: boolean
  readonly heldOut: readonly HeldOutAnswer[]
  /** Locked examples, for figures in the report. */
  readonly locked: readonly HeldOutAnswer[]
  /**
   * Returns the recorded result of a part of the gate, or does and records it: a worker that continues a gate
   * repeats only the unfinished part. A result is JSON: ids and figures, never a question.
   */
  readonly recorded: <Result extends object>(part: string, work: () => Promise<Result>) => Promise<Result>
  /** Episodes that replays may retrieve. */
  readonly episodes: EpisodeStore
}

export interface TrialVerdict {
  readonly promoted: boolean
  /** Whether the candidate, when promoted, becomes the anchor of its kind. */
  readonly isAnchor: boolean
  readonly reason: string
  readonly metrics: Metrics
  readonly baseline: Metrics
}

export interface ArtifactTraining {
  /** Material that an episode must have to be trained on. */
  readonly material: TrainingMaterial
  train(context: TrainingContext, episodes: readonly EpisodeKey[]): Promise<Trained | Skipped>
  /**
   * Loads a version as serving does.
   * @throws ServiceError ARTIFACT_INVALID when its bytes are not a model of this kind
   */
  open(runner: GraphRunner, version: ArtifactBytes): Promise<{ close(): Promise<void> }>
  /**
   * Decides whether the candidate is promoted.
   * @throws ServiceError ARTIFACT_INVALID when its bytes are not a model of this kind
   */
  judge(options: TrialOptions): Promise<TrialVerdict>
}

/** A trained model as `#algorithms` returns it. */
interface TrainedModel {
  readonly model: Uint8Array
  readonly features: ArtifactManifest['features']
  readonly options: ArtifactManifest['options']
  readonly metrics: Readonly<Record<string, Figure>>
}

/**
 * Converts a trained model.
 * @param options.episodes all episodes that it was trained or calibrated on
 */
export function toTrained(
  { model, features, options, metrics }: TrainedModel,
  { episodes, heldOut, locked }: Pick<Trained, 'heldOut' | 'locked'> & { episodes: readonly EpisodeKey[] },
): Pick<Trained, 'bytes' | 'manifest' | 'metrics' | 'heldOut' | 'locked'> {
  return {
    bytes: model,
    manifest: { features, options, episodes },
    metrics: finiteMetrics(metrics),
    heldOut,
    locked,
  }
}

/** Converts the verdict of a gate, and adds its metrics to those of the candidate's training. */
export function toTrialVerdict(
  { artifact }: ArtifactBytes,
  { promoted, isAnchor, reason, metrics, baseline }: GateVerdict,
): TrialVerdict {
  return {
    promoted,
    isAnchor,
    reason,
    metrics: { ...artifact.metrics, ...finiteMetrics(metrics) },
    baseline: finiteMetrics(baseline),
  }
}

/** Drops metrics and bounds that are not finite, which JSON cannot store. */
export function finiteMetrics(figures: Readonly<Record<string, Figure>>): Metrics {
  const measured = Object.entries(figures).filter(([, { value }]) => Number.isFinite(value))
  return Object.fromEntries(
    measured.map(([name, { value, n, low, high }]) => [
      name,
      { value, n, ...(isBound(low) && { low }), ...(isBound(high) && { high }) },
    ]),
  )
}

function isBound(bound: number | undefined): bound is number {
  return bound !== undefined && Number.isFinite(bound)
}
