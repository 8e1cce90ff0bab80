/** @file What a consolidation tells about itself, from the steps that it has recorded. */

import type {
  ArtifactKind,
  ConsolidatedArtifact,
  Consolidation,
  ConsolidationStore,
  NightReport,
  ReportedKind,
  StepRecord,
} from '#artifacts'
import type { Skipped } from './context.ts'
import type { Pruned } from './prune-memory.ts'
import { recordName } from './steps.ts'
import type { Snapshot } from './take-snapshot.ts'
import type { Candidate } from './train-candidate.ts'

export interface ReportOptions {
  readonly consolidation: Consolidation
  /** In the order in which they were finished. */
  readonly steps: readonly StepRecord[]
  readonly outcome: Parameters<ConsolidationStore['finish']>[1]
  readonly endedAt: Date
}

export function buildReport({ consolidation, steps, outcome, endedAt }: ReportOptions): NightReport {
  const { id, fingerprint, trigger, attempts, kinds } = consolidation
  const startedAt = consolidation.startedAt ?? consolidation.createdAt
  const recordOf = (step: string) => steps.find((record) => record.step === step)?.result ?? null
  return {
    consolidationId: id,
    fingerprint,
    trigger,
    status: outcome.status,
    error: outcome.status === 'failed' ? outcome.error : null,
    startedAt,
    endedAt: endedAt.toISOString(),
    seconds: secondsBetween(startedAt, endedAt),
    attempts,
    steps: steps.map(({ step, finishedAt }, index) => ({
      step,
      seconds: secondsBetween(steps[index - 1]?.finishedAt ?? startedAt, finishedAt),
    })),
    trainerPeakBytes: kinds.reduce<number | null>((most, kind) => {
      const peak = candidateOf(kind, recordOf)?.trainerPeakBytes ?? null
      return peak === null ? most : Math.max(peak, most ?? 0)
    }, null),
    artifacts: kinds.map((kind) => reportKind(kind, recordOf)),
    retired: (recordOf('prune') as Pruned | null)?.retired ?? null,
  }
}

type RecordOf = (step: string) => unknown

function reportKind(kind: ArtifactKind, recordOf: RecordOf): ReportedKind {
  const snapshot = recordOf(recordName('snapshot', kind)) as Snapshot | null
  const settled = recordOf(recordName('promote', kind)) as ConsolidatedArtifact | null
  const trained = candidateOf(kind, recordOf)
  const { pending = 0, unusable = 0, overShare = 0, overLimit = 0, episodes = 0 } = snapshot?.counts ?? {}
  const rejected = { pending, unusable, overShare, overLimit, ...trained?.rejected }
  return {
    kind,
    version: settled?.version ?? trained?.artifact.version ?? null,
    status: settled?.status ?? null,
    reason: settled?.reason ?? null,
    episodes: {
      remembered: episodes,
      learnedFrom: trained?.artifact.episodes ?? 0,
      leftOut: Object.fromEntries(Object.entries(rejected).filter(([, count]) => count > 0)),
    },
    losses: trained?.losses ?? {},
    metrics: settled?.metrics ?? trained?.artifact.metrics ?? {},
    baseline: settled?.baseline ?? {},
  }
}

function candidateOf(kind: ArtifactKind, recordOf: RecordOf): Candidate | null {
  const record = recordOf(recordName('train', kind)) as Candidate | Skipped | null
  return record === null || 'skipped' in record ? null : record
}

/** To a tenth; clocks of two machines may disagree. */
function secondsBetween(from: string | Date, to: string | Date): number {
  return Math.max(0, Math.round((new Date(to).getTime() - new Date(from).getTime()) / 100) / 10)
}
