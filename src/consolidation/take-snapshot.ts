/** @file The first step: which episodes there are to learn from, and whether they are worth a training. */

import { setTimeout as delay } from 'node:timers/promises'
import type { ArtifactKind, EpisodeKey } from '#artifacts'
import type { SnapshotCounts, TrainingMaterial, TrainingSnapshot } from '#episodes'
import type { ConsolidationContext } from './context.ts'
import { recordName } from './steps.ts'
import { trainingOf } from './training-by-kind.ts'

/** Episodes of one artifact at most, the newest first. */
const MAX_EPISODES = 20_000
/** No tenant shapes what serves the others alone. */
const MAX_TENANT_SHARE = 0.5
/** New episodes below which a version would be much like the last one. */
const MIN_NEW_EPISODES = 20

/** Labelling takes milliseconds, once its turn has come. */
const LABELLING_TIMEOUT_MS = 5_000
const POLL_MS = 250

export interface Snapshot {
  readonly episodes: readonly EpisodeKey[]
  /** What became of all episodes. */
  readonly counts?: SnapshotCounts
  /** When the newest episode of all was made, to count from; null when there was none. */
  readonly newestAt?: string | null
  /** Why there is nothing to train, in words; null when there is. */
  readonly skipped: string | null
}

/**
 * Chooses the episodes of a new version. Skipped when few of them are new since the last version was trained, unless it is
 * forced, or what serves was trained on episodes that have been deleted since and so has to go.
 */
export async function takeSnapshot(context: ConsolidationContext, kind: ArtifactKind): Promise<Snapshot> {
  const { material } = trainingOf(context, kind)
  const { episodes, counts, newestAt } = await snapshotOfLabelled(context, material)
  return {
    episodes,
    counts,
    newestAt: newestAt?.toISOString() ?? null,
    skipped: await reasonToSkip(context, kind, episodes),
  }
}

/** Waits for what was solved just now to be labelled, but not for a day that never pauses. */
async function snapshotOfLabelled(
  { training, consolidation: { fingerprint }, signal }: ConsolidationContext,
  material: TrainingMaterial,
): Promise<TrainingSnapshot> {
  const deadline = performance.now() + LABELLING_TIMEOUT_MS
  for (;;) {
    const snapshot = await training.snapshot({
      fingerprint,
      material,
      limit: MAX_EPISODES,
      maxTenantShare: MAX_TENANT_SHARE,
    })
    if (snapshot.counts.pending === 0 || performance.now() > deadline) return snapshot
    await delay(POLL_MS, undefined, { signal })
  }
}

async function reasonToSkip(
  { artifacts, consolidations, consolidation: { fingerprint, force } }: ConsolidationContext,
  kind: ArtifactKind,
  episodes: readonly EpisodeKey[],
): Promise<string | null> {
  if (force) return null
  const { [kind]: active } = await artifacts.active(fingerprint)
  if (active?.stale) return null
  const [last] = await artifacts.list({ fingerprint, kind, limit: 1 })
  if (last === undefined) return null
  const before = await consolidations.stepResult(last.consolidationId, recordName('snapshot', kind))
  const seen = new Set((before as Snapshot | null)?.episodes.map(nameOf))
  const fresh = episodes.filter((episode) => !seen.has(nameOf(episode))).length
  if (fresh >= MIN_NEW_EPISODES) return null
  return `few new episodes: expected ${MIN_NEW_EPISODES} to learn from since ${last.version}, got ${fresh}`
}

function nameOf({ tenantId, episodeId }: EpisodeKey): string {
  return `${tenantId} ${episodeId}`
}
