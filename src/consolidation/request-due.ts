/** @file Requests of consolidations by trigger: on a schedule, or after a number of new episodes. */

import {
  ARTIFACT_KINDS,
  type ArtifactStore,
  type Consolidation,
  type ConsolidationStore,
  type LearningStore,
  type Trigger,
} from '#artifacts'
import type { TrainingStore } from '#episodes'
import type { ConsolidationLogger } from './context.ts'

export interface DueParts {
  readonly consolidations: Pick<ConsolidationStore, 'list' | 'coverage' | 'request'>
  readonly artifacts: Pick<ArtifactStore, 'active'>
  readonly learning: Pick<LearningStore, 'state'>
  readonly training: Pick<TrainingStore, 'models' | 'countSince'>
  readonly logger: Pick<ConsolidationLogger, 'warn'>
}

/** Time by which the clocks of two machines may differ without a warning. */
const CLOCK_TOLERANCE_MS = 5 * 60_000

/**
 * Requests a consolidation of every model that has enough new episodes since its last consolidation began,
 * whatever the outcome of that. The trigger `schedule` also requests one when an active version was trained
 * on episodes erased since. Requests none while learning is frozen. Skips a model whose last consolidation
 * has not ended. Several workers may call it at once: a model has one consolidation at a time.
 *
 * @param minNewEpisodes number of new episodes from which a consolidation is due
 * @param clock returns milliseconds since the epoch
 * @returns the consolidations that are due
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function requestDueConsolidations(
  parts: DueParts,
  {
    trigger,
    minNewEpisodes,
    clock = Date.now,
  }: {
    readonly trigger: Exclude<Trigger, 'request'>
    readonly minNewEpisodes: number
    readonly clock?: () => number
  },
): Promise<readonly Consolidation[]> {
  const { consolidations } = parts
  if ((await parts.learning.state()).frozenSince !== null) return []
  const due: Consolidation[] = []
  for (const fingerprint of await parts.training.models()) {
    const [last] = await consolidations.list({ fingerprint, limit: 1 })
    if (last?.finishedAt === null) continue
    const isDue =
      (await countNew(parts, fingerprint, last, clock())) >= minNewEpisodes ||
      (trigger === 'schedule' && (await servesStale(parts, fingerprint)))
    if (!isDue) continue
    due.push(await consolidations.request({ fingerprint, kinds: ARTIFACT_KINDS, force: false, trigger }))
  }
  return due
}

/**
 * Returns the number of episodes that are newer than the newest one that the last consolidation covered, by
 * the clock that stamps episodes. A consolidation that failed before its snapshot covered all episodes up to
 * its request.
 *
 * A newest episode in the future was stamped by a clock that was ahead. Until that time has come, no other
 * episode is newer, so the episodes that were added since are counted instead: all of the model, without those
 * that the consolidation found. Deleted episodes make this number too small.
 */
async function countNew(
  { consolidations, training, logger }: DueParts,
  fingerprint: string,
  last: Consolidation | undefined,
  now: number,
): Promise<number> {
  if (last === undefined) return training.countSince(fingerprint, null)
  const { id, createdAt } = last
  const covered = await consolidations.coverage(id)
  const since = covered?.newestAt ?? new Date(createdAt)
  if (since.getTime() <= now + CLOCK_TOLERANCE_MS) return training.countSince(fingerprint, since)
  logger.warn(
    { consolidation: id, newest: since.toISOString() },
    'a clock was ahead: the newest episode of the last consolidation is in the future, counting episodes instead',
  )
  return Math.max(0, (await training.countSince(fingerprint, null)) - (covered?.episodes ?? 0))
}

async function servesStale({ artifacts }: DueParts, fingerprint: string): Promise<boolean> {
  return Object.values(await artifacts.active(fingerprint)).some(({ stale }) => stale)
}
