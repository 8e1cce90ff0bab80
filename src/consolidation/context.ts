/** @file Dependencies of all consolidations, and the context that the steps of one consolidation share. */

import type { RewardModelOptions, WeaverOptions } from '#algorithms'
import type { ArtifactStore, Consolidation, ConsolidationStore, LearningStore } from '#artifacts'
import type { Engine } from '#engine'
import type { EpisodeStore, TrainingStore } from '#episodes'
import type { GraphRunner, TaskRunner } from '#ports'
import type { Tracer } from '#tracing'

/** The part of a pino logger that consolidations use. */
export interface ConsolidationLogger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

/**
 * Opens the model's engine to replay questions on: the engine that serves in this process, or one started for
 * the purpose.
 */
export type OpenReplayEngine = () => Promise<{
  readonly engine: Engine
  /** Called when the replay has ended; ends an engine that was started for it. */
  close(): Promise<void>
}>

/** Process that runs the tasks of `training-program.ts`, and graphs. */
export interface TrainingProcess extends GraphRunner, TaskRunner {
  /** Peak memory of the process so far, in bytes. */
  peakMemoryBytes(): Promise<number>
  close(): Promise<void>
}

/** Training process that starts on its first use. */
export interface LazyTrainer extends GraphRunner, TaskRunner {
  /** Peak memory of the process so far, in bytes; null when it was never started. */
  peakMemoryBytes(): Promise<number | null>
  close(): Promise<void>
}

/** Limits of the answers that a consolidation samples; 0 questions samples none. */
export interface EvidenceLimits {
  readonly questions: number
  readonly minutes: number
}

/** Dependencies that a worker has for all consolidations. */
export interface ConsolidationDeps {
  readonly consolidations: ConsolidationStore
  readonly artifacts: ArtifactStore
  /** Read before every step: a consolidation ends when learning is frozen. */
  readonly learning: LearningStore
  readonly training: TrainingStore
  /** Starts a process to train in; the caller closes it. */
  readonly startTrainer: () => Promise<TrainingProcess>
  readonly openReplayEngine: OpenReplayEngine
  /** Episodes that replays may retrieve. */
  readonly episodes: EpisodeStore
  readonly logger: ConsolidationLogger
  /** Limits of the step `evidence`; the step is left out unless given. */
  readonly evidence?: EvidenceLimits
  /** Version of this program, for manifests. */
  readonly codeVersion: string
  /** Whether versions that passed their gate wait for an operator; they are promoted unless true. */
  readonly isReviewed?: boolean
  /** Training options of the latent reward model; defaults apply to the rest. */
  readonly rewardModel?: Partial<RewardModelOptions>
  /** Training options of the weaver; defaults apply to the rest. */
  readonly weaver?: Partial<WeaverOptions>
  /** Records a span for each step; none unless given. */
  readonly tracer?: Tracer
}

/** Context that the steps of one consolidation share. */
export interface ConsolidationContext extends ConsolidationDeps {
  readonly consolidation: Consolidation
  /** Training process; starts on its first use. */
  readonly runner: LazyTrainer
  /** Seed of all randomness; the same in every attempt. */
  readonly seed: number
  readonly signal: AbortSignal
}
