/** @file The record of one consolidation, the job that trains and judges artifacts. */

import type { ArtifactKind, Metrics } from './artifact.ts'

export type ConsolidationStatus = 'queued' | 'running' | 'promoted' | 'rejected' | 'failed'
export const TRIGGERS = ['request', 'schedule', 'episodes'] as const
export type Trigger = (typeof TRIGGERS)[number]

/** What became of one kind in one consolidation. */
export interface ConsolidatedArtifact {
  readonly kind: ArtifactKind
  readonly version: string | null
  readonly status: 'promoted' | 'rejected' | 'skipped'
  readonly reason: string | null
  readonly metrics: Metrics
  readonly baseline: Metrics
}

export interface Consolidation {
  readonly id: string
  readonly fingerprint: string
  readonly status: ConsolidationStatus
  readonly artifacts: readonly ConsolidatedArtifact[]
  /** What was asked for. */
  readonly kinds: readonly ArtifactKind[]
  readonly force: boolean
  readonly trigger: Trigger
  /** Share of its steps that are done, in [0, 1]. */
  readonly progress: number
  /** The step in hand, or the last one. */
  readonly step: string | null
  readonly createdAt: string
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** Episodes in its snapshot. */
  readonly episodes: number
  /** How often a worker began it: one that ends its workers over and over is given up by whoever counts. */
  readonly attempts: number
  readonly error: string | null
}
