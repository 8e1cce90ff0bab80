/** @file The map of a memory: its newest episodes along the first two principal components of their projections. */

import type { Database } from '#database'
import { principalPlaces } from '#tensor'
import { START } from './cursor.ts'
import type { EpisodeMap } from './episode.ts'
import { type ProjectedEpisode, projectedEpisodes } from './sql/projected-episodes.ts'

/** Episodes that are read at once: some 2 MB, which the driver decodes in some 10 ms. */
const PAGE_EPISODES = 1_000

/**
 * Reads the newest episodes of a model that have a projection, at most `limit`, and places them along the first two
 * principal components of the projections `[256]`.
 *
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function mapEpisodes(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  { fingerprint, limit }: { readonly fingerprint: string; readonly limit: number },
): Promise<EpisodeMap> {
  const episodes: ProjectedEpisode[] = []
  for (let isLast = false; !isLast && episodes.length < limit; ) {
    const after = episodes.at(-1) ?? START
    const size = Math.min(PAGE_EPISODES, limit - episodes.length)
    const page = await projectedEpisodes(database, tenantId, { fingerprint, after, limit: size })
    episodes.push(...page)
    isLast = page.length < size
  }
  const { places, explained } = await principalPlaces(episodes.map(({ projection }) => projection))
  const points = episodes.map(({ projection: _1, createdAt: _2, ...episode }, index) => {
    const { x, y } = places[index] ?? { x: 0, y: 0 }
    return { ...episode, x, y }
  })
  return { points, explained }
}
