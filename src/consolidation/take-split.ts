/** @file The step `split`: assigns the questions of all episodes to the parts of one split, for all kinds. */

import type { ArtifactKind, EpisodeKey } from '#artifacts'
import type { ConsolidationContext } from './context.ts'
import { type AskedEpisode, EMPTY_SPLIT, type NightSplit, nameOf, splitNight } from './split-night.ts'
import { MAX_EPISODES, MAX_TENANT_SHARE, type Snapshot } from './take-snapshot.ts'

/**
 * Splits all indexed episodes of the model, whether they have material to train on or not, up to the bounds
 * of a snapshot, and the episodes of the snapshots. Reads also the episodes that the active versions and the
 * anchors were trained on, so that no question of theirs is held out. Reads nothing when nothing is trained.
 */
export async function takeSplit(
  { training, artifacts, consolidation, signal }: ConsolidationContext,
  snapshotOf: (kind: ArtifactKind) => Snapshot,
): Promise<NightSplit> {
  const { id, fingerprint, kinds } = consolidation
  if (kinds.every((kind) => snapshotOf(kind).skipped !== null)) return EMPTY_SPLIT
  const { episodes: all } = await training.snapshot({
    fingerprint,
    material: 'asked',
    limit: MAX_EPISODES,
    maxTenantShare: MAX_TENANT_SHARE,
  })
  const asked = new Set<string>()
  const wanted = new Map<string, EpisodeKey>()
  for (const episode of [...all, ...kinds.flatMap((kind) => snapshotOf(kind).episodes)]) {
    asked.add(nameOf(episode))
    wanted.set(nameOf(episode), episode)
  }
  const active = await artifacts.active(fingerprint)
  const anchors = await artifacts.anchors(fingerprint)
  const versions = [...Object.values(active), ...Object.values(anchors)]
  const trained = new Set<string>()
  for (const version of new Set(versions.map((artifact) => artifact.id))) {
    for (const episode of (await artifacts.manifest(version)).episodes) {
      trained.add(nameOf(episode))
      wanted.set(nameOf(episode), episode)
    }
  }
  const episodes: AskedEpisode[] = []
  for await (const { question, embedding, steers, ...key } of training.askedQuestions(fingerprint, [
    ...wanted.values(),
  ])) {
    signal.throwIfAborted()
    const name = nameOf(key)
    episodes.push({ ...key, question, embedding, steers, asked: asked.has(name), trained: trained.has(name) })
  }
  return splitNight(episodes, { salt: id, hasActive: Object.keys(active).length > 0, signal })
}
