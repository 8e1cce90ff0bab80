/** @file The record of one consolidation, the job that trains and judges artifacts. */

import type { ArtifactKind, Metrics } from './artifact.ts'

export type ConsolidationStatus =
  | 'queued'
  | 'running'
  | 'promoted'
  | 'awaiting-review'
  | 'rejected'
  | 'failed'
export const TRIGGERS = ['request', 'schedule', 'episodes'] as const
export type Trigger = (typeof TRIGGERS)[number]

/** The result of one consolidation for one kind of artifact. */
export interface ConsolidatedArtifact {
  readonly kind: ArtifactKind
  readonly version: string | null
  /** `awaiting-review`: passed the gate, and waits for its activation by an operator. */
  readonly status: 'promoted' | 'awaiting-review' | 'rejected' | 'skipped'
  readonly reason: string | null
  readonly metrics: Metrics
  readonly baseline: Metrics
}

export interface Consolidation {
  readonly id: string
  readonly fingerprint: string
  readonly status: ConsolidationStatus
  readonly artifacts: readonly ConsolidatedArtifact[]
  /** Requested kinds. */
  readonly kinds: readonly ArtifactKind[]
  readonly force: boolean
  readonly trigger: Trigger
  /** Share of its steps that are finished, in [0, 1]. */
  readonly progress: number
  /** The current step, or the last one when the consolidation has ended. */
  readonly step: string | null
  readonly createdAt: string
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** Number of episodes in its snapshot. */
  readonly episodes: number
  /**
   * Number of times a worker began it. A consolidation that crashes its worker too often is
   * marked failed.
   */
  readonly attempts: number
  readonly error: string | null
}
