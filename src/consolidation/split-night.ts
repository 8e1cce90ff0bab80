/**
 * @file The split of one consolidation: the part of every question asked of the model, the same for all kinds
 * of artifacts.
 */

import { createHash } from 'node:crypto'
import { createYielding, type Part } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import { clusterQuestions, type EmbeddedQuestion, foldQuestion } from './cluster-questions.ts'

/** Share of all clusters that is locked. */
const LOCKED_SHARE = 0.1
/**
 * Share of the fresh clusters that is held out: half of them, up to the number that a gate needs to see a
 * small loss, and without an active version a fifth of them when that is more.
 */
const HELD_OUT_SHARE = { few: 0.5, many: 0.2 }
const ENOUGH_HELD_OUT = 150
const MIN_HELD_OUT = 10
const MAX_HELD_OUT = 400
const CALIBRATION_SHARE = 0.1
const MIN_CALIBRATION = 10
/** Number of calibration clusters with a retrievable episode that is aimed at, as a quarter of the rest allows. */
const STEERING_CALIBRATION = 12
const MAX_CALIBRATION_SHARE = 0.25

/** Question of one episode. */
export interface AskedEpisode extends EpisodeKey, EmbeddedQuestion {
  /** Whether the episode may be retrieved; parts are stratified by it. */
  readonly steers: boolean
  /** Whether the active version or the anchor of any kind was trained on the episode. */
  readonly trained: boolean
  /** false: the episode only tells which clusters were trained on, and gets no part. */
  readonly asked: boolean
}

export interface SplitOptions {
  /** Salt of the choice, so that each consolidation holds out other questions. */
  readonly salt: string
  /** Whether a version of any kind is active. */
  readonly hasActive: boolean
  readonly signal?: AbortSignal
}

/** Parts that the record of the split lists; `unused` episodes are neither trained on nor measured. */
type RecordedPart = Exclude<Part, 'train'> | 'unused'

/**
 * Record of a split: the clusters of each part except `train`, each a list of names `tenantId episodeId`.
 * Episodes that are not listed are trained on.
 */
export type NightSplit = Readonly<Record<RecordedPart, readonly (readonly string[])[]>>

export const EMPTY_SPLIT: NightSplit = { locked: [], heldOut: [], calibration: [], unused: [] }

/** One cluster of near-duplicate questions. */
interface Cluster {
  /** Names of its asked episodes, newest first. */
  readonly names: readonly string[]
  /** In [0, 1), by its oldest question alone: the same in every consolidation. */
  readonly place: number
  /** In [0, 1), by its oldest question and the salt. */
  readonly draw: number
  readonly isFresh: boolean
  readonly steers: boolean
}

/**
 * Splits the questions of all episodes, newest first, by cluster of near-duplicates.
 *
 * - `locked`: a tenth of all clusters, by a hash of the text that never changes. No version is trained on
 *   them and no gate reads them; the report shows the figures on them. A cluster of this tenth that was
 *   trained on all the same (two clusters can grow into one) is `unused`.
 * - `heldOut`: fresh clusters only, i.e. those that neither the active version nor the anchor was trained on:
 *   half of them, without an active version no more than 150 or a fifth; at least 10 and at most 400, as far
 *   as there are so many. The hash is salted with the consolidation's id, so that the held-out questions of one night may
 *   be trained on in the next.
 * - `calibration`: a tenth of the rest, at least 10, more (up to a quarter) when few of them are retrievable;
 *   not trained on in this consolidation.
 * - `train`: all others.
 *
 * Held-out and calibration clusters are drawn in proportion from those with and those without a retrievable
 * episode, and listed in random order, so that a prefix of the held-out ones is a random sample. Deterministic.
 *
 * @throws the signal's reason when it has fired
 */
export async function splitNight(
  episodes: readonly AskedEpisode[],
  { salt, hasActive, signal }: SplitOptions,
): Promise<NightSplit> {
  const clusterOf = await clusterQuestions(episodes, signal)
  const pause = createYielding(signal)
  const clusters: Cluster[] = []
  for (const members of Map.groupBy(episodes.entries(), ([index]) => clusterOf[index]).values()) {
    await pause()
    const cluster = toCluster(
      members.map(([, episode]) => episode),
      salt,
    )
    if (cluster.names.length > 0) clusters.push(cluster)
  }
  clusters.sort((a, b) => a.draw - b.draw)
  const isLocked = ({ place }: Cluster) => place < LOCKED_SHARE
  const open = clusters.filter((cluster) => !isLocked(cluster))
  const fresh = open.filter(({ isFresh }) => isFresh)
  const half = Math.floor(fresh.length * HELD_OUT_SHARE.few)
  const share = Math.max(Math.min(half, ENOUGH_HELD_OUT), Math.floor(fresh.length * HELD_OUT_SHARE.many))
  const wanted = hasActive ? half : share
  const heldOut = drawInProportion(fresh, Math.min(MAX_HELD_OUT, Math.max(MIN_HELD_OUT, wanted)))
  const rest = open.filter((cluster) => !heldOut.has(cluster))
  const calibration = drawInProportion(rest, calibrationSize(rest))
  const named = (own: readonly Cluster[]) => own.map(({ names }) => names)
  return {
    locked: named(clusters.filter((cluster) => isLocked(cluster) && cluster.isFresh)),
    heldOut: named(fresh.filter((cluster) => heldOut.has(cluster))),
    calibration: named(rest.filter((cluster) => calibration.has(cluster))),
    unused: named(clusters.filter((cluster) => isLocked(cluster) && !cluster.isFresh)),
  }
}

/**
 * The weaver is calibrated on clusters that steer alone, so a larger share is taken when few of them do. When none
 * does, there is no weaver to calibrate.
 */
function calibrationSize(rest: readonly Cluster[]): number {
  const steering = rest.filter(({ steers }) => steers).length
  const enough = steering === 0 ? 0 : Math.ceil((STEERING_CALIBRATION * rest.length) / steering)
  return Math.max(
    MIN_CALIBRATION,
    Math.floor(rest.length * CALIBRATION_SHARE),
    Math.min(enough, Math.floor(rest.length * MAX_CALIBRATION_SHARE)),
  )
}

function toCluster(members: readonly AskedEpisode[], salt: string): Cluster {
  const text = foldQuestion(members.at(-1)?.question ?? '')
  const asked = members.filter((member) => member.asked)
  return {
    names: asked.map(nameOf),
    place: hashOf(text),
    draw: hashOf(`${salt} ${text}`),
    isFresh: members.every(({ trained }) => !trained),
    steers: asked.some(({ steers }) => steers),
  }
}

/** Returns `count` clusters, or all when there are fewer: every n-th of those that steer, then of the others. */
function drawInProportion(clusters: readonly Cluster[], count: number): ReadonlySet<Cluster> {
  if (clusters.length <= count) return new Set(clusters)
  const strata = [...clusters].sort((a, b) => Number(b.steers) - Number(a.steers))
  const step = strata.length / count
  const drawn = Array.from({ length: count }, (_, place) => Math.floor((place + 0.5) * step))
  return new Set(drawn.flatMap((index) => strata[index] ?? []))
}

/** Uniform in [0, 1). */
function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48
}

/** Part and cluster of an episode in a split. */
interface Place {
  readonly part: Part | 'unused'
  readonly cluster: string
}

/** A split to look episodes up in. */
export interface SplitLookup {
  /** Returns the part and the cluster of an episode. Clusters in `train` are told apart by the folded text. */
  placeOf(episode: EpisodeKey, question: string): Place
  /** Returns the episodes of a part with their clusters: clusters in random order, newest episode first. */
  episodesOf(part: RecordedPart): readonly (EpisodeKey & { readonly cluster: string })[]
}

export function openSplit(split: NightSplit): SplitLookup {
  const places = new Map<string, Place>()
  for (const [part, clusters] of Object.entries(split) as [RecordedPart, NightSplit[RecordedPart]][]) {
    for (const [index, names] of clusters.entries()) {
      for (const name of names) places.set(name, { part, cluster: `${part} ${index}` })
    }
  }
  return {
    placeOf: (episode, question) =>
      places.get(nameOf(episode)) ?? { part: 'train', cluster: `train ${foldQuestion(question)}` },
    episodesOf: (part) =>
      split[part].flatMap((names, index) =>
        names.map((name) => ({ ...keyOf(name), cluster: `${part} ${index}` })),
      ),
  }
}

export function nameOf({ tenantId, episodeId }: EpisodeKey): string {
  return `${tenantId} ${episodeId}`
}

/** Reverses `nameOf`: an episode's id has no space. */
function keyOf(name: string): EpisodeKey {
  const space = name.lastIndexOf(' ')
  return { tenantId: name.slice(0, space), episodeId: name.slice(space + 1) }
}
