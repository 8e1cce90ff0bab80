/** @file Requests of consolidations by trigger: on a schedule, or after a number of new episodes. */

import {
  ARTIFACT_KINDS,
  type ArtifactStore,
  type Consolidation,
  type ConsolidationStore,
  type Trigger,
} from '#artifacts'
import type { TrainingStore } from '#episodes'
import { recordName } from './steps.ts'
import type { Snapshot } from './take-snapshot.ts'

export interface DueParts {
  readonly consolidations: Pick<ConsolidationStore, 'list' | 'stepResult' | 'request'>
  readonly artifacts: Pick<ArtifactStore, 'active'>
  readonly training: Pick<TrainingStore, 'models' | 'countSince'>
}

/**
 * Requests a consolidation of every model that has enough new episodes since its last consolidation began,
 * whatever the outcome of that. The trigger `schedule` also requests one when an active version was trained
 * on episodes deleted since. Skips a model whose last consolidation has not ended. Several workers may call
 * it at once: a model has one consolidation at a time.
 *
 * @param minNewEpisodes number of new episodes from which a consolidation is due
 * @returns the consolidations that are due
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function requestDueConsolidations(
  parts: DueParts,
  {
    trigger,
    minNewEpisodes,
  }: { readonly trigger: Exclude<Trigger, 'request'>; readonly minNewEpisodes: number },
): Promise<readonly Consolidation[]> {
  const { consolidations, training } = parts
  const due: Consolidation[] = []
  for (const fingerprint of await training.models()) {
    const [last] = await consolidations.list({ fingerprint, limit: 1 })
    if (last?.finishedAt === null) continue
    const since = last === undefined ? null : await knownUntil(parts, last)
    const isDue =
      (await training.countSince(fingerprint, since)) >= minNewEpisodes ||
      (trigger === 'schedule' && (await servesStale(parts, fingerprint)))
    if (!isDue) continue
    due.push(await consolidations.request({ fingerprint, kinds: ARTIFACT_KINDS, force: false, trigger }))
  }
  return due
}

/**
 * Returns the creation time of the newest episode that a consolidation covered, by the clock that stamps
 * episodes. For a consolidation that failed before its snapshot, returns when it was requested.
 */
async function knownUntil(
  { consolidations }: DueParts,
  { id, kinds, createdAt }: Consolidation,
): Promise<Date> {
  const snapshots = await Promise.all(
    kinds.map((kind) => consolidations.stepResult(id, recordName('snapshot', kind))),
  )
  const moments = snapshots.map((snapshot) => (snapshot as Snapshot | null)?.newestAt ?? createdAt)
  return new Date(moments.sort()[0] ?? createdAt)
}

async function servesStale({ artifacts }: DueParts, fingerprint: string): Promise<boolean> {
  return Object.values(await artifacts.active(fingerprint)).some(({ stale }) => stale)
}
