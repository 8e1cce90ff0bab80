/** @file The episode store: checks ids and cursors, then runs one statement or transaction per method. */

import { type Database, isUuid } from '#database'
import { ServiceError } from '#errors'
import type { NeighbourQuery } from '#ports'
import { decodeCursor, encodeCursor, START } from './cursor.ts'
import { createEmbeddingProjections } from './embedding-projections.ts'
import type { EpisodeDetail, EpisodeStore } from './episode.ts'
import { boundMaps, mapEpisodes } from './map-episodes.ts'
import { addEpisode } from './sql/add-episode.ts'
import { getDeletion, requestDeletion } from './sql/deletions.ts'
import { episodeInfluence } from './sql/episode-influence.ts'
import { findEpisodes } from './sql/find-episodes.ts'
import { getEpisode } from './sql/get-episode.ts'
import { indexEpisode } from './sql/index-episode.ts'
import { labelEpisode } from './sql/label-episode.ts'
import { listEpisodes } from './sql/list-episodes.ts'
import { type NearestOptions, nearestEpisodes } from './sql/nearest-episodes.ts'
import { recollect } from './sql/recollect.ts'
import { removeEpisode } from './sql/remove-episode.ts'
import { createVectorIndexes, type VectorIndexes } from './vector-indexes.ts'

export interface EpisodeStoreOptions {
  readonly database: Pick<Database, 'pool'>
  /**
   * Returns milliseconds since the epoch: the time at which an episode is created, and its order in lists. By
   * default the time is the database's, because the clocks of API processes may differ.
   */
  readonly clock?: (() => number) | undefined
  /** Indexes that retrieval may use; by default, those in the catalog of the database. */
  readonly vectorIndexes?: VectorIndexes
}

/**
 * Creates the store over Postgres and pgvector. Every statement has the tenant in its own WHERE clause.
 *
 * Adding a second episode under the same id keeps the first one, so a caller that lost its connection during
 * the commit may retry.
 */
export function createEpisodeStore({
  database,
  clock,
  vectorIndexes = createVectorIndexes({ database }),
}: EpisodeStoreOptions): EpisodeStore {
  const projections = createEmbeddingProjections(database)

  async function detail(operation: string, tenantId: string, id: string): Promise<EpisodeDetail> {
    const episode = isUuid(id) ? await getEpisode(database, tenantId, id) : null
    if (episode === null) throw notFound(operation, id)
    return episode
  }

  async function nearestOptions(
    { tenantId, fingerprint, embedding }: NeighbourQuery,
    signal: AbortSignal | undefined,
  ): Promise<NearestOptions> {
    const project = await projections.find(fingerprint, embedding.length, signal)
    const projection = project === null ? null : project(embedding)
    return { projection, indexed: vectorIndexes.has(tenantId, fingerprint), signal }
  }

  return {
    async add(episode, signal) {
      const { fingerprint, embedding } = episode
      const project = await projections.findOrRecord(fingerprint, embedding.length, signal)
      const projection = project(embedding)
      const createdAt = clock === undefined ? null : new Date(clock())
      await addEpisode(database, episode, { projection, createdAt, signal })
    },

    async nearest(neighbours, signal) {
      if (neighbours.topK === 0) return []
      return nearestEpisodes(database, neighbours, await nearestOptions(neighbours, signal))
    },

    async recollect(query, signal) {
      return recollect(database, query, await nearestOptions(query, signal))
    },

    get: (tenantId, id) => detail('get episode', tenantId, id),

    async list(tenantId, { limit, cursor, filter = {} }) {
      const after = cursor === undefined ? START : decodeCursor(cursor)
      // No episode has an ancestor with such an id.
      if (filter.ledBy !== undefined && !isUuid(filter.ledBy)) return { episodes: [], nextCursor: null }
      // One more than `limit` shows whether there is another page.
      const episodes = await listEpisodes(database, tenantId, { filter, after, limit: limit + 1 })
      const page = episodes.slice(0, limit)
      const last = page.at(-1)
      const nextCursor = episodes.length > limit && last !== undefined ? encodeCursor(last) : null
      return { episodes: page, nextCursor }
    },

    find: (tenantId, ids) => findEpisodes(database, tenantId, ids.filter(isUuid)),

    async influence(tenantId, id) {
      const influence = isUuid(id) ? await episodeInfluence(database, tenantId, id) : null
      if (influence === null) throw notFound('influence of episode', id)
      return influence
    },

    map: boundMaps((tenantId, options) => mapEpisodes(database, tenantId, options)),

    async label(tenantId, id, feedback, keys = null) {
      const found = isUuid(id) && (await labelEpisode(database, { tenantId, id }, feedback, keys))
      if (!found) throw notFound('label episode', id)
      return detail('label episode', tenantId, id)
    },

    async remove(tenantId, id) {
      const found = isUuid(id) && (await removeEpisode(database, tenantId, id))
      if (!found) throw notFound('remove episode', id)
    },

    removeAll: (tenantId) => requestDeletion(database, tenantId),

    async deletion(tenantId, id) {
      const found = isUuid(id) ? await getDeletion(database, tenantId, id) : null
      if (found !== null) return found
      throw new ServiceError(
        'DELETION_NOT_FOUND',
        `get deletion: expected a deletion of this tenant, got none for ${id}`,
      )
    },

    async index(tenantId, id) {
      const found = isUuid(id) && (await indexEpisode(database, { tenantId, id }))
      if (!found) throw notFound('index episode', id)
    },
  }
}

function notFound(operation: string, id: string): ServiceError {
  return new ServiceError(
    'EPISODE_NOT_FOUND',
    `${operation}: expected an episode of this tenant, got none for ${id}`,
  )
}
