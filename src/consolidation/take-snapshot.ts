/** @file The step `snapshot`: chooses the episodes to train on, and skips when too few of them are new. */

import { setTimeout as delay } from 'node:timers/promises'
import type { ArtifactKind, EpisodeKey } from '#artifacts'
import type { SnapshotCounts } from '#episodes'
import type { ConsolidationContext } from './context.ts'
import { nameOf } from './split-night.ts'
import { recordName } from './steps.ts'
import { trainingOf } from './training-by-kind.ts'

/** Upper bound on the episodes of one artifact; the newest are taken. */
export const MAX_EPISODES = 20_000
/** Largest share of one tenant: artifacts serve all tenants, and no single tenant may dominate them. */
export const MAX_TENANT_SHARE = 0.5
/** With fewer new episodes, a new version would be much like the last one. */
const MIN_NEW_EPISODES = 20

/** Longest wait for labels. Labelling an episode takes milliseconds once its job is next. */
const LABELLING_TIMEOUT_MS = 5_000
const POLL_MS = 250

export interface Snapshot {
  readonly episodes: readonly EpisodeKey[]
  /** Numbers of all episodes of the model, by what became of them. */
  readonly counts?: SnapshotCounts
  /** Creation time of the newest episode; the next consolidation counts from it. null when there was none. */
  readonly newestAt?: string | null
  /** Why nothing is trained, in words; null when a version is to be trained. */
  readonly skipped: string | null
}

/**
 * Chooses the episodes of a new version. The version is skipped when there are fewer than 20 new episodes
 * since the last version was trained, unless the consolidation is forced, or the active version was trained
 * on episodes erased since and has to be replaced.
 */
export async function takeSnapshot(context: ConsolidationContext, kind: ArtifactKind): Promise<Snapshot> {
  const { material } = trainingOf(context, kind)
  const { training, consolidations, consolidation } = context
  await waitForLabels(context)
  const { episodes, counts, newestAt } = await training.snapshot({
    fingerprint: consolidation.fingerprint,
    material,
    limit: MAX_EPISODES,
    maxTenantShare: MAX_TENANT_SHARE,
  })
  await consolidations.noteCoverage(consolidation.id, { newestAt, episodes: counts.episodes })
  return {
    episodes,
    counts,
    newestAt: newestAt?.toISOString() ?? null,
    skipped: await reasonToSkip(context, kind, episodes),
  }
}

/** Waits until no episode waits for its labels, but at most 5 s: under steady load there is always one. */
async function waitForLabels({
  training,
  consolidation: { fingerprint },
  signal,
}: ConsolidationContext): Promise<void> {
  const deadline = performance.now() + LABELLING_TIMEOUT_MS
  while ((await training.countPending(fingerprint)) > 0 && performance.now() <= deadline)
    await delay(POLL_MS, undefined, { signal })
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
  const known = new Set((before as Snapshot | null)?.episodes.map(nameOf))
  const newEpisodes = episodes.filter((episode) => !known.has(nameOf(episode))).length
  if (newEpisodes >= MIN_NEW_EPISODES) return null
  return `too few new episodes: expected ${MIN_NEW_EPISODES} since ${last.version}, got ${newEpisodes}`
}
