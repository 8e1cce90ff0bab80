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
  /** Ids of the episodes whose answer a caller has called wrong. */
  readonly refuted: Set<string>
}

export interface EpisodesOptions {
  /** Methods that throw STORE_UNAVAILABLE. */
  readonly failing?: readonly ('add' | 'nearest' | 'recollect')[]
}

export function createEpisodesInMemory({ failing = [] }: EpisodesOptions = {}): EpisodesInMemory {
  const added: NewEpisode[] = []
  const queries: NeighbourQuery[] = []
  const confirmed = new Set<string>()
  const refuted = new Set<string>()
  const isOwn = ({ id, tenantId, fingerprint }: NewEpisode, query: NeighbourQuery) =>
    tenantId === query.tenantId && fingerprint === query.fingerprint && !query.exclude?.includes(id)
  const gone = () => new ServiceError('STORE_UNAVAILABLE', 'episodes: expected a database, got none')
  const unused = () => Promise.reject(new Error('not used by solving'))
  return {
    added,
    queries,
    confirmed,
    refuted,
    async add(episode) {
      if (failing.includes('add')) throw gone()
      added.push(episode)
    },
    async nearest(query) {
      if (failing.includes('nearest')) throw gone()
      return added
        .filter((episode) => {
          const { id, admitted, latents } = episode
          return isOwn(episode, query) && admitted && latents !== null && !refuted.has(id)
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
    async recollect(query) {
      queries.push(query)
      if (failing.includes('recollect')) throw gone()
      return {
        neighbours: await this.nearest(query),
        refuted: added.flatMap((episode) => {
          const { id, answer, answerRules, question } = episode
          const isSame = question === query.question && answerRules === query.answerRules
          return answer !== null && refuted.has(id) && isSame && isOwn(episode, query)
            ? [{ answer, episodeId: id }]
            : []
        }),
      }
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
