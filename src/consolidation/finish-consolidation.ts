/** @file The end of a consolidation: builds the report from the recorded steps and sets the final status. */

import type {
  ArtifactKind,
  ConsolidatedArtifact,
  Consolidation,
  ConsolidationStore,
  NightReport,
  ReportedKind,
  StepRecord,
} from '#artifacts'
import type { Evidence } from './gather-evidence.ts'
import { type Pruned, REPORT, recordName, type Skipped } from './steps.ts'
import type { Snapshot } from './take-snapshot.ts'
import type { Candidate } from './train-candidate.ts'

type Outcome = Parameters<ConsolidationStore['finish']>[1]

export interface ReportOptions {
  readonly consolidation: Consolidation
  /** Recorded steps, in the order in which they were finished. */
  readonly steps: readonly StepRecord[]
  readonly outcome: Outcome
  readonly endedAt: Date
}

/**
 * Records the report of a consolidation and marks it finished. An earlier report and outcome are kept.
 * @throws ServiceError CONSOLIDATION_NOT_FOUND, STORE_UNAVAILABLE
 */
export async function finishConsolidation(
  consolidations: Pick<ConsolidationStore, 'get' | 'steps' | 'finishStep' | 'finish'>,
  id: string,
  outcome: Outcome,
): Promise<void> {
  const consolidation = await consolidations.get(id)
  if (consolidation.finishedAt === null) {
    const steps = await consolidations.steps(id)
    const report = buildReport({ consolidation, steps, outcome, endedAt: new Date() })
    await consolidations.finishStep(id, REPORT, report)
  }
  await consolidations.finish(id, outcome)
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
    evidence: recordOf('evidence') as Evidence | null,
    artifacts: kinds.map((kind) => reportKind(kind, recordOf)),
    retired: (recordOf('prune') as Pruned | null)?.retired ?? null,
  }
}

/** Returns the result that is recorded under a step's name; null while there is none. */
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
    form: trained === null || kind !== 'lrm' ? null : String(trained.artifact.features['form'] ?? 'mean'),
    episodes: {
      remembered: episodes,
      learnedFrom: trained?.artifact.episodes ?? 0,
      leftOut: Object.fromEntries(Object.entries(rejected).filter(([, count]) => count > 0)),
    },
    losses: trained?.losses ?? {},
    ...(trained?.weights !== undefined && { weights: trained.weights }),
    ...(trained?.policy !== undefined && { policy: trained.policy }),
    metrics: settled?.metrics ?? trained?.artifact.metrics ?? {},
    baseline: settled?.baseline ?? {},
  }
}

function candidateOf(kind: ArtifactKind, recordOf: RecordOf): Candidate | null {
  const record = recordOf(recordName('train', kind)) as Candidate | Skipped | null
  return record === null || 'skipped' in record ? null : record
}

/** Seconds between two moments, to a tenth; never negative, because clocks of two machines may differ. */
function secondsBetween(from: string | Date, to: string | Date): number {
  return Math.max(0, Math.round((new Date(to).getTime() - new Date(from).getTime()) / 100) / 10)
}
