/** @file An episode store in memory, with the methods that solving uses. */

import type { EpisodeStore, NewEpisode } from '#episodes'
import { ServiceError } from '#errors'
import type { Neighbour, NeighbourQuery } from '#ports'
import { dot } from '#tensor'

export interface EpisodesInMemory extends EpisodeStore {
  readonly added: NewEpisode[]
  readonly queries: NeighbourQuery[]
  /** Ids of the episodes whose answer a caller has called right. */
  readonly confirmed: Set<string>
}

export interface EpisodesOptions {
  /** Methods that throw STORE_UNAVAILABLE. */
  readonly failing?: readonly ('add' | 'nearest')[]
}

export function createEpisodesInMemory({ failing = [] }: EpisodesOptions = {}): EpisodesInMemory {
  const added: NewEpisode[] = []
  const queries: NeighbourQuery[] = []
  const confirmed = new Set<string>()
  const gone = () => new ServiceError('STORE_UNAVAILABLE', 'episodes: expected a database, got none')
  const unused = () => Promise.reject(new Error('not used by solving'))
  return {
    added,
    queries,
    confirmed,
    async add(episode) {
      if (failing.includes('add')) throw gone()
      added.push(episode)
    },
    async nearest(query) {
      queries.push(query)
      if (failing.includes('nearest')) throw gone()
      return added
        .filter(({ id, tenantId, fingerprint, admitted, latents }) => {
          const isOwn = tenantId === query.tenantId && fingerprint === query.fingerprint
          return isOwn && admitted && latents !== null && !query.exclude?.includes(id)
        })
        .map((episode): Neighbour => {
          const { id, embedding, answer, answerRules } = episode
          const similarity = dot(embedding, query.embedding)
          return {
            episodeId: id,
            similarity,
            embedding,
            ...episode.latents!,
            ...(confirmed.has(id) && answer !== null && { confirmed: { answer, answerRules } }),
          }
        })
        .filter(({ similarity }) => similarity >= query.minSimilarity)
        .sort((a, b) => b.similarity - a.similarity)
        .slice(0, query.topK)
    },
    list: unused,
    find: unused,
    get: unused,
    influence: unused,
    map: unused,
    label: unused,
    remove: unused,
    removeAll: unused,
    deletion: unused,
    index: unused,
  }
}
