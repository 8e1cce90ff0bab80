/** @file What a consolidation is run with. */

import type { GraphRunner, RewardModelOptions } from '#algorithms'
import type { ArtifactKind, ArtifactStore, Consolidation, ConsolidationStore } from '#artifacts'
import type { TrainingStore } from '#episodes'
import type { ArtifactTraining } from './artifact-training.ts'
import { createRewardModelTraining } from './train-lrm.ts'

export interface TrainingProcess extends GraphRunner {
  close(): Promise<void>
}

/** What a worker has for all consolidations. */
export interface NightParts {
  readonly consolidations: ConsolidationStore
  readonly artifacts: ArtifactStore
  readonly training: TrainingStore
  /** Starts a process to train in; whoever asked closes it. */
  readonly startTrainer: () => Promise<TrainingProcess>
  /** Of this program, for manifests. */
  readonly codeVersion: string
  /** Of the latent reward model's training; its own choice unless given. */
  readonly lrm?: Partial<RewardModelOptions>
}

/** What the steps of one consolidation share. */
export interface Night extends NightParts {
  readonly consolidation: Consolidation
  /** The training process; it is started when it first has something to do. */
  readonly runner: GraphRunner
  /** The same in every attempt. */
  readonly seed: number
  readonly signal: AbortSignal
}

/** How a kind is trained and judged; null where this version cannot. */
export function trainingOf({ lrm = {} }: NightParts, kind: ArtifactKind): ArtifactTraining | null {
  const trainings = { lrm: createRewardModelTraining(lrm), weaver: null }
  return trainings[kind]
}

/** An artifact that was trained, or why none was. */
export interface Skipped {
  readonly skipped: string
}
