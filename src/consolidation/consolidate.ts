/** @file One consolidation, from what is remembered to what serves: a line of recorded steps. */

import { createHash } from 'node:crypto'
import type { Consolidation } from '#artifacts'
import type { ConsolidationContext, ConsolidationDeps } from './context.ts'
import { finishConsolidation } from './finish-consolidation.ts'
import { judgeCandidate } from './judge-candidate.ts'
import { createLazyTrainer } from './lazy-trainer.ts'
import { promoteOrReject } from './promote-or-reject.ts'
import { pruneMemory } from './prune-memory.ts'
import { recordSteps } from './record-steps.ts'
import { REPORT } from './steps.ts'
import { takeSnapshot } from './take-snapshot.ts'
import { trainCandidate } from './train-candidate.ts'

/** A consolidation that ends its workers over and over is given up. Being told to stop counts as well. */
const MAX_ATTEMPTS = 20

/**
 * Runs a consolidation to its end, or on from the last step that some worker has finished; one that has ended is left
 * alone. Nothing that serves changes before its step `promote`.
 *
 * @throws ServiceError CONSOLIDATION_NOT_FOUND; whatever a step fails with: it may be run again, and goes on there
 */
export async function consolidate(parts: ConsolidationDeps, id: string, signal: AbortSignal): Promise<void> {
  const { consolidations } = parts
  const consolidation = await consolidations.begin(id)
  if (consolidation.status !== 'running') return
  if (consolidation.attempts > MAX_ATTEMPTS) {
    const error = `given up after ${MAX_ATTEMPTS} attempts that ended in step ${consolidation.step}`
    return finishConsolidation(consolidations, id, { status: 'failed', error })
  }
  const trainer = createLazyTrainer(parts.startTrainer)
  try {
    await runSteps({ ...parts, consolidation, runner: trainer, seed: seedOf(consolidation), signal })
  } finally {
    await trainer.close()
  }
}

async function runSteps(context: ConsolidationContext): Promise<void> {
  const { consolidations, consolidation } = context
  const { id, kinds } = consolidation
  const steps = recordSteps(context)
  const snapshotOf = await steps.forEach('snapshot', (kind) => takeSnapshot(context, kind))
  const candidateOf = await steps.forEach('train', (kind, report) =>
    trainCandidate(context, kind, { snapshot: snapshotOf(kind), report }),
  )
  const verdictOf = await steps.forEach('gate', (kind, report) =>
    judgeCandidate(context, candidateOf(kind), report),
  )
  const settledOf = await steps.forEach('promote', (kind) =>
    promoteOrReject(context, kind, { candidate: candidateOf(kind), verdict: verdictOf(kind) }),
  )
  const artifacts = kinds.map(settledOf)
  await steps.once('prune', () => pruneMemory(context, snapshotOf))
  await steps.enter(REPORT)
  await finishConsolidation(consolidations, id, {
    status: artifacts.some(({ status }) => status === 'promoted') ? 'promoted' : 'rejected',
    artifacts,
    episodes: Math.max(...kinds.map((kind) => snapshotOf(kind).episodes.length)),
  })
}

/** A seed of 48 bits, the same in every attempt. */
function seedOf({ id }: Consolidation): number {
  return createHash('sha256').update(id).digest().readUIntBE(0, 6)
}
