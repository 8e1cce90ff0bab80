/** @file What a consolidation is run with. */

import type { RewardModelOptions, WeaverOptions } from '#algorithms'
import type { ArtifactStore, Consolidation, ConsolidationStore } from '#artifacts'
import type { Engine } from '#engine'
import type { EpisodeStore, TrainingStore } from '#episodes'
import type { LazyTrainer, TrainingProcess } from './lazy-trainer.ts'

/** The part of a pino logger that nights use. */
export interface ConsolidationLogger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

/** The model itself, to replay questions on: the one that serves here, or one that was started for it. */
export type OpenReplayEngine = () => Promise<{
  readonly engine: Engine
  /** Whoever asked for it does not need it any more. */
  close(): Promise<void>
}>

/** What a worker has for all consolidations. */
export interface ConsolidationDeps {
  readonly consolidations: ConsolidationStore
  readonly artifacts: ArtifactStore
  readonly training: TrainingStore
  /** Starts a process to train in; whoever asked closes it. */
  readonly startTrainer: () => Promise<TrainingProcess>
  readonly openReplayEngine: OpenReplayEngine
  /** The memory that replays may ask. */
  readonly episodes: EpisodeStore
  readonly logger: ConsolidationLogger
  /** Of this program, for manifests. */
  readonly codeVersion: string
  /** Of the latent reward model's training; its own choice unless given. */
  readonly rewardModel?: Partial<RewardModelOptions>
  /** The same of the weaver's. */
  readonly weaver?: Partial<WeaverOptions>
}

/** What the steps of one consolidation share. */
export interface ConsolidationContext extends ConsolidationDeps {
  readonly consolidation: Consolidation
  /** The training process; it is started when it first has something to do. */
  readonly runner: LazyTrainer
  /** The same in every attempt. */
  readonly seed: number
  readonly signal: AbortSignal
}

/** An artifact that was trained, or why none was. */
export interface Skipped {
  readonly skipped: string
}
