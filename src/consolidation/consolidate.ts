/** @file One consolidation: runs its recorded steps, from the snapshot of episodes to the report. */

import { createHash } from 'node:crypto'
import type { ArtifactKind, ArtifactStore, ConsolidatedArtifact, Consolidation } from '#artifacts'
import { consolidationAttributes, NO_TRACER } from '#tracing'
import type { ConsolidationContext, ConsolidationDeps, LazyTrainer, TrainingProcess } from './context.ts'
import { finishConsolidation } from './finish-consolidation.ts'
import { gatherEvidence } from './gather-evidence.ts'
import { judgeCandidate } from './judge-candidate.ts'
import { LearningFrozenError, recordSteps } from './record-steps.ts'
import { type Pruned, REPORT, recordName, type Skipped } from './steps.ts'
import { type Snapshot, takeSnapshot } from './take-snapshot.ts'
import { takeSplit } from './take-split.ts'
import { type Candidate, trainCandidate } from './train-candidate.ts'

/**
 * Attempts after which an unfinished consolidation is marked `failed`. A stop of the worker counts as one.
 */
const MAX_ATTEMPTS = 20

/**
 * Runs a consolidation to its end, starting after the last step that any worker has finished. Does nothing
 * when the consolidation has ended. The active versions do not change before the step `promote`. When learning
 * is frozen, the consolidation ends before its next step: versions that are not promoted by then are rejected.
 *
 * @throws ServiceError CONSOLIDATION_NOT_FOUND, and every error that a step throws; the caller may then run
 * the consolidation again, and it continues with that step
 */
export async function consolidate(deps: ConsolidationDeps, id: string, signal: AbortSignal): Promise<void> {
  const { consolidations, tracer = NO_TRACER } = deps
  const consolidation = await consolidations.begin(id)
  if (consolidation.status !== 'running') return
  if (consolidation.attempts > MAX_ATTEMPTS) {
    const error = `failed after ${MAX_ATTEMPTS} attempts, the last one in step ${consolidation.step}`
    return finishConsolidation(consolidations, id, { status: 'failed', error })
  }
  const trainer = createLazyTrainer(deps.startTrainer)
  try {
    const seed = seedOf(consolidation)
    await tracer.trace('consolidation', consolidationAttributes(consolidation), () =>
      runUnlessFrozen({ ...deps, consolidation, runner: trainer, seed, signal }),
    )
  } finally {
    await trainer.close()
  }
}

async function runUnlessFrozen(context: ConsolidationContext): Promise<void> {
  try {
    await runSteps(context)
  } catch (thrown) {
    if (!(thrown instanceof LearningFrozenError)) throw thrown
    context.logger.warn({ consolidation: context.consolidation.id }, `consolidation ends: ${thrown.message}`)
    await endFrozen(context, thrown.message)
  }
}

/** Ends a consolidation early. Kinds that were promoted before the freeze stay promoted. */
async function endFrozen(context: ConsolidationContext, reason: string): Promise<void> {
  const { consolidations, consolidation } = context
  const { id, kinds } = consolidation
  const artifacts: ConsolidatedArtifact[] = []
  const episodes: number[] = []
  for (const kind of kinds) {
    const recorded = (step: 'snapshot' | 'train' | 'promote') =>
      consolidations.stepResult(id, recordName(step, kind))
    const candidate = ((await recorded('train')) as Candidate | Skipped | null) ?? { skipped: reason }
    const verdict = { promoted: false, isAnchor: false, reason }
    if ((await recorded('promote')) === null) {
      const settled = await settleCandidate(context, kind, { candidate, verdict })
      await consolidations.finishStep(id, recordName('promote', kind), settled)
    }
    artifacts.push((await recorded('promote')) as ConsolidatedArtifact)
    episodes.push(((await recorded('snapshot')) as Snapshot | null)?.episodes.length ?? 0)
  }
  await finishConsolidation(consolidations, id, {
    status: outcomeOf(artifacts),
    artifacts,
    episodes: Math.max(...episodes),
  })
}

function outcomeOf(artifacts: readonly ConsolidatedArtifact[]): 'promoted' | 'awaiting-review' | 'rejected' {
  const has = (wanted: ConsolidatedArtifact['status']) => artifacts.some(({ status }) => status === wanted)
  if (has('promoted')) return 'promoted'
  return has('awaiting-review') ? 'awaiting-review' : 'rejected'
}

async function runSteps(context: ConsolidationContext): Promise<void> {
  const { consolidations, consolidation, evidence, tracer = NO_TRACER } = context
  const { id, kinds } = consolidation
  const steps = recordSteps(context)
  if (evidence !== undefined && evidence.questions > 0) {
    await steps.once('evidence', () => gatherEvidence(context, evidence))
  }
  const snapshotOf = await steps.forEach('snapshot', (kind) => takeSnapshot(context, kind))
  const split = await steps.once('split', () => takeSplit(context, snapshotOf))
  const artifacts: ConsolidatedArtifact[] = []
  let hasRewardModel = false
  // The fused judge weighs the estimate of the reward model that serves: it is fitted once that one is settled.
  const waves: readonly (readonly ArtifactKind[])[] = [
    kinds.filter((kind) => kind !== 'judge'),
    kinds.filter((kind) => kind === 'judge'),
  ]
  for (const wave of waves) {
    const candidateOf = await steps.forEach(
      'train',
      (kind, report) => trainCandidate(context, kind, { snapshot: snapshotOf(kind), split, report }),
      wave,
    )
    const verdictOf = await steps.forEach(
      'gate',
      (kind, report) => judgeCandidate(context, candidateOf(kind), report),
      wave,
    )
    const settledOf = await steps.forEach(
      'promote',
      (kind) => settleCandidate(context, kind, { candidate: candidateOf(kind), verdict: verdictOf(kind) }),
      wave,
    )
    artifacts.push(...wave.map(settledOf))
    hasRewardModel ||= wave.includes('lrm') && !('skipped' in candidateOf('lrm'))
  }
  await steps.once('prune', () => pruneMemory(context, snapshotOf, hasRewardModel))
  await steps.enter(REPORT)
  await tracer.trace(REPORT, {}, () =>
    finishConsolidation(consolidations, id, {
      status: outcomeOf(artifacts),
      artifacts,
      episodes: Math.max(...kinds.map((kind) => snapshotOf(kind).episodes.length)),
    }),
  )
}

interface PromotionInput {
  readonly candidate: Candidate | Skipped
  readonly verdict: Parameters<ArtifactStore['settle']>[1] | Skipped
}

/**
 * Promotes or rejects a candidate by its verdict; a promoted one is active from then on. With `isReviewed`, a
 * candidate that passed waits for its activation by an operator instead. Idempotent.
 */
async function settleCandidate(
  { artifacts, isReviewed = false }: ConsolidationContext,
  kind: ArtifactKind,
  { candidate, verdict }: PromotionInput,
): Promise<ConsolidatedArtifact> {
  if ('skipped' in candidate || 'skipped' in verdict) {
    const reason = 'skipped' in candidate ? candidate.skipped : 'skipped' in verdict ? verdict.skipped : null
    return { kind, version: null, status: 'skipped', reason, metrics: {}, baseline: {} }
  }
  const { version, status, reason, metrics, baseline } = await artifacts.settle(candidate.artifact.id, {
    ...verdict,
    isReviewed,
  })
  // A settled version is a candidate only while it waits.
  const settled = status === 'candidate' ? 'awaiting-review' : status
  return { kind, version, status: settled, reason, metrics, baseline }
}

/**
 * Excludes near-duplicate episodes from retrieval when a better one exists, for every tenant in the
 * snapshots, among the tenant's newest episodes. When a worker dies in this step, the next run counts only
 * the episodes that were left.
 *
 * @param hasRewardModel whether a latent reward model was trained
 */
async function pruneMemory(
  { training, consolidation: { fingerprint, kinds } }: ConsolidationContext,
  snapshotOf: (kind: ArtifactKind) => Snapshot,
  hasRewardModel: boolean,
): Promise<Pruned> {
  const tenants = new Set(kinds.flatMap((kind) => snapshotOf(kind).episodes.map(({ tenantId }) => tenantId)))
  const retired = await training.excludeDominated(fingerprint, [...tenants].sort())
  // Not before a training has read them all.
  const thinned = hasRewardModel ? await training.thinThoughts(fingerprint, snapshotOf('lrm').episodes) : 0
  return { retired, thinned }
}

/** Starts the training process when the first task is opened or graph is loaded. `close` ends the process if it was started. */
function createLazyTrainer(start: () => Promise<TrainingProcess>): LazyTrainer {
  let started: Promise<TrainingProcess> | null = null
  return {
    async load(model, options) {
      started ??= start()
      return (await started).load(model, options)
    },
    async openTask(name) {
      started ??= start()
      return (await started).openTask(name)
    },
    peakMemoryBytes: async () => (started === null ? null : (await started).peakMemoryBytes()),
    async close() {
      // A failed start has already thrown from `load`.
      await started?.then(
        (process) => process.close(),
        () => {},
      )
    },
  }
}

/** Seed of 48 bits, derived from the id: the same in every attempt. */
function seedOf({ id }: Consolidation): number {
  return createHash('sha256').update(id).digest().readUIntBE(0, 6)
}
