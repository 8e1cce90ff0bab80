/**
 * @file The report of an ended consolidation, by which an operator decides whether to keep its artifacts.
 */

import type { ArtifactKind, Metrics } from './artifact.ts'
import type { ConsolidatedArtifact, Trigger } from './consolidation.ts'

/** A finished step; `step` is `name`, or `name.kind` for a step that runs once per kind. */
export interface StepRecord {
  readonly step: string
  readonly result: unknown
  readonly finishedAt: string
}

/** What `auto` does, under one effort, with drafts whose P(correct) is at least `from` and below that of the next band. */
export interface ReportedBand {
  readonly effort: string
  readonly from: number
  readonly strategy: string
  readonly samples?: number
  readonly selector?: string
  /** Samples are taken in rounds until P(correct) of the chosen answer is at least, or below, these, or it has these votes. */
  readonly stopAbove?: number
  readonly stopBelow?: number
  readonly stopVotes?: number
  /** Questions on which the band was chosen, accuracy of their drafts and with the strategy, mean tokens with those of the draft. */
  readonly questions?: number
  readonly draftAccuracy?: number
  readonly accuracy?: number
  readonly tokens?: number
}

/** The part of the report about one kind of artifact. */
export interface ReportedKind {
  readonly kind: ArtifactKind
  readonly version: string | null
  /** null when the consolidation failed before it promoted or rejected this kind. */
  readonly status: ConsolidatedArtifact['status'] | null
  readonly reason: string | null
  /** Form of a reward model, see its manifest; null for a weaver, or without a candidate; absent in old reports. */
  readonly form?: string | null
  readonly episodes: {
    /** Episodes of this model when the consolidation began. */
    readonly remembered: number
    /** Episodes on which the artifact was trained. */
    readonly learnedFrom: number
    /** Unused episodes by reason; reasons with a count of 0 are omitted. */
    readonly leftOut: Readonly<Record<string, number>>
  }
  readonly losses: Readonly<Record<string, number>>
  /** Weights of a model that is small enough to read, by name; absent for others. */
  readonly weights?: Readonly<Record<string, number>>
  /** Policy of a fused judge, the bands of an effort in ascending order; absent for others, and where none pays. */
  readonly policy?: readonly ReportedBand[]
  /** Metrics of the candidate on held-out questions, with intervals. */
  readonly metrics: Metrics
  /** The same metrics of the version that was active before. */
  readonly baseline: Metrics
}

/** Answers that the consolidation sampled to questions of requests, as evidence of what is right. */
export interface ReportedEvidence {
  /** Questions chosen. */
  readonly questions: number
  /** Questions with a stored episode of samples. */
  readonly sampled: number
  /** Questions that could not be solved or stored. */
  readonly failed: number
  readonly generatedTokens: number
  /** Why questions were left, in words; null when all were tried. */
  readonly stopped: string | null
}

/** The whole report, as stored and as returned by the API. */
export interface NightReport {
  readonly consolidationId: string
  readonly fingerprint: string
  readonly trigger: Trigger
  readonly status: 'promoted' | 'awaiting-review' | 'rejected' | 'failed'
  readonly error: string | null
  readonly startedAt: string
  readonly endedAt: string
  readonly seconds: number
  /** Number of times a worker began it. When above 1, `steps` include time in which no worker ran it. */
  readonly attempts: number
  /** Steps in the order in which they finished; each lasts from the end of the one before. */
  readonly steps: readonly { readonly step: string; readonly seconds: number }[]
  /** Peak memory of the training process; null when there was no training process. */
  readonly trainerPeakBytes: number | null
  /** null when the step is switched off, or the consolidation failed before its end. */
  readonly evidence: ReportedEvidence | null
  readonly artifacts: readonly ReportedKind[]
  /**
   * Number of near-duplicate episodes excluded from retrieval; null when the consolidation failed before
   * that step.
   */
  readonly retired: number | null
}
