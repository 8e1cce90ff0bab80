/** @file What a consolidation is run with. */

import type { GraphRunner } from '#algorithms'
import type { ArtifactKind, ArtifactStore, Consolidation, ConsolidationStore } from '#artifacts'
import type { TrainingStore } from '#episodes'
import type { ArtifactTraining } from './artifact-training.ts'
import { rewardModelTraining } from './train-lrm.ts'

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
}

/** What the steps of one consolidation share. */
export interface Night extends NightParts {
  readonly consolidation: Consolidation
  /** The training process, started when it is first asked for. */
  readonly runner: () => Promise<GraphRunner>
  /** The same in every attempt. */
  readonly seed: number
  readonly signal: AbortSignal
}

/** What this version can train. */
export const TRAININGS: Readonly<Record<ArtifactKind, ArtifactTraining | null>> = {
  lrm: rewardModelTraining,
  weaver: null,
}

/** An artifact that was trained, or why none was. */
export interface Skipped {
  readonly skipped: string
}
