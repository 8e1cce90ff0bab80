/** @file The map of a memory: its newest episodes along the first two principal components of their projections. */

import type { Database } from '#database'
import { ServiceError } from '#errors'
import { principalPlaces } from '#tensor'
import { START } from './cursor.ts'
import type { EpisodeMap, EpisodeStore } from './episode.ts'
import { type ProjectedEpisode, projectedEpisodes } from './sql/projected-episodes.ts'

/** Episodes that are read at once: some 2 MB, which the driver decodes in some 10 ms. */
const PAGE_EPISODES = 1_000
/** Maps that are computed at once: each reads and places up to 10,000 episodes. */
const MAX_MAPS = 4
/** Pause that a refused caller is told, in s. */
const RETRY_AFTER_SECONDS = 1

/**
 * Returns a function that computes at most one map of a tenant at once, and four in all. Equal requests of a tenant share
 * a map; others are refused until there is room.
 *
 * @throws ServiceError ENGINE_OVERLOADED, and what `compute` throws
 */
export function boundMaps(compute: EpisodeStore['map']): EpisodeStore['map'] {
  const running = new Map<string, { readonly request: string; readonly map: Promise<EpisodeMap> }>()
  return async (tenantId, options) => {
    const request = JSON.stringify([options.fingerprint, options.limit])
    const own = running.get(tenantId)
    if (own?.request === request) return own.map
    if (own !== undefined || running.size >= MAX_MAPS) {
      const got = own === undefined ? `${MAX_MAPS} of other tenants` : 'another one of the tenant'
      throw new ServiceError('ENGINE_OVERLOADED', `map episodes: expected room for a map, got ${got}`, {
        retryAfterSeconds: RETRY_AFTER_SECONDS,
      })
    }
    const map = compute(tenantId, options).finally(() => running.delete(tenantId))
    running.set(tenantId, { request, map })
    return map
  }
}

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
