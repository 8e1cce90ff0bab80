/** @file Nights that nobody asks for by hand: on a schedule, or after so many episodes. */

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
 * Asks for a consolidation of every model that has learned enough since its last one began, whatever became of that; by schedule also of
 * a model that serves what was trained on deleted episodes. Any number of workers may do it: one consolidation at a time stays one.
 *
 * @param minNewEpisodes new episodes that are enough
 * @returns the nights that are due
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

/** The newest episode that a consolidation knew of, by the clock that stamps episodes; one that failed before knew none. */
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
