/** @file What a night tells about itself when it is over: for whoever has to decide whether to keep what it made. */

import type { ArtifactKind, Metrics } from './artifact.ts'
import type { ConsolidatedArtifact, Trigger } from './consolidation.ts'

/** A finished step: `name`, or `name.kind` where each kind has its own. */
export interface StepRecord {
  readonly step: string
  readonly result: unknown
  readonly finishedAt: string
}

/** What became of one kind. */
export interface ReportedKind {
  readonly kind: ArtifactKind
  readonly version: string | null
  /** null: the night failed before the gate's word was carried out. */
  readonly status: ConsolidatedArtifact['status'] | null
  readonly reason: string | null
  readonly episodes: {
    /** Of this model, when the night began. */
    readonly remembered: number
    readonly learnedFrom: number
    /** By reason; reasons that nobody had are not there. */
    readonly leftOut: Readonly<Record<string, number>>
  }
  readonly losses: Readonly<Record<string, number>>
  /** On held-out questions, with intervals: the candidate's, and those of what served before. */
  readonly metrics: Metrics
  readonly baseline: Metrics
}

export interface NightReport {
  readonly consolidationId: string
  readonly fingerprint: string
  readonly trigger: Trigger
  readonly status: 'promoted' | 'rejected' | 'failed'
  readonly error: string | null
  readonly startedAt: string
  readonly endedAt: string
  readonly seconds: number
  /** How often a worker began it; above 1, steps include the time that nobody worked on it. */
  readonly attempts: number
  /** In the order in which they were finished, each from the end of the one before. */
  readonly steps: readonly { readonly step: string; readonly seconds: number }[]
  /** The most memory that the training process had in use; null when there was none. */
  readonly trainerPeakBytes: number | null
  readonly artifacts: readonly ReportedKind[]
  /** Episodes that stopped steering as dominated near-duplicates; null when the night failed before. */
  readonly retired: number | null
}
