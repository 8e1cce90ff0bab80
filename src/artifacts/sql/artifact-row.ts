/** @file Rows of `artifacts`, without their bytes, and their conversion to artifacts. */

import type {
  Activation,
  Artifact,
  ArtifactKind,
  ArtifactManifest,
  ArtifactStatus,
  Metrics,
} from '../artifact.ts'

export const ARTIFACT_COLUMNS = `
  id, consolidation_id, kind, fingerprint, number, sha256, size, status, passed, active, activated_by,
  rolled_back_at, stale, erased_episodes, expired_episodes, bytes is not null as available, reason, metrics, baseline,
  manifest -> 'features' as features, episodes, created_at`

export interface ArtifactRow {
  readonly id: string
  readonly consolidation_id: string
  readonly kind: ArtifactKind
  readonly fingerprint: string
  readonly number: number
  readonly sha256: string
  readonly size: number
  readonly status: ArtifactStatus
  readonly passed: boolean | null
  readonly active: boolean
  readonly activated_by: Activation | null
  readonly rolled_back_at: Date | null
  readonly stale: boolean
  readonly erased_episodes: number
  readonly expired_episodes: number
  readonly available: boolean
  readonly reason: string | null
  readonly metrics: Metrics
  readonly baseline: Metrics
  readonly features: ArtifactManifest['features']
  readonly episodes: number
  readonly created_at: Date
}

export function toArtifact(row: ArtifactRow): Artifact {
  return {
    id: row.id,
    kind: row.kind,
    version: `${row.kind}-${row.number}`,
    fingerprint: row.fingerprint,
    sha256: row.sha256,
    bytes: row.size,
    status: row.status,
    passed: row.passed,
    active: row.active,
    activatedBy: row.activated_by,
    rolledBackAt: row.rolled_back_at?.toISOString() ?? null,
    stale: row.stale,
    erasedEpisodes: row.erased_episodes,
    expiredEpisodes: row.expired_episodes,
    available: row.available,
    createdAt: row.created_at.toISOString(),
    consolidationId: row.consolidation_id,
    reason: row.reason,
    metrics: row.metrics,
    baseline: row.baseline,
    features: row.features,
    episodes: row.episodes,
  }
}
