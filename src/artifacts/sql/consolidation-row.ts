/** @file Rows of `consolidations`, and their conversion to consolidations. */

import type { ArtifactKind } from '../artifact.ts'
import type { ConsolidatedArtifact, Consolidation, ConsolidationStatus, Trigger } from '../consolidation.ts'

export const CONSOLIDATION_COLUMNS = `
  id, fingerprint, kinds, force, trigger, status, attempts, step, progress, created_at, started_at,
  finished_at, episodes, artifacts, error`

export interface ConsolidationRow {
  readonly id: string
  readonly fingerprint: string
  readonly kinds: readonly ArtifactKind[]
  readonly force: boolean
  readonly trigger: Trigger
  readonly status: ConsolidationStatus
  readonly attempts: number
  readonly step: string | null
  readonly progress: number
  readonly created_at: Date
  readonly started_at: Date | null
  readonly finished_at: Date | null
  readonly episodes: number
  readonly artifacts: readonly ConsolidatedArtifact[]
  readonly error: string | null
}

export function toConsolidation(row: ConsolidationRow): Consolidation {
  return {
    id: row.id,
    fingerprint: row.fingerprint,
    status: row.status,
    artifacts: row.artifacts,
    kinds: row.kinds,
    force: row.force,
    trigger: row.trigger,
    progress: row.progress,
    step: row.step,
    createdAt: row.created_at.toISOString(),
    startedAt: row.started_at?.toISOString() ?? null,
    finishedAt: row.finished_at?.toISOString() ?? null,
    episodes: row.episodes,
    attempts: row.attempts,
    error: row.error,
  }
}
