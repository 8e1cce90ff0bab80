/** @file `/episodes` and `/deletions`: lists, finds, maps, labels and deletes the episodes of the caller's tenant. */

import { Type } from 'typebox'
import type { EpisodeStore } from '#episodes'
import { ServiceError } from '#errors'
import type { Solver } from '#solving'
import { json, problems, UNWANTED_BODY } from '../responses.ts'
import {
  Deletion,
  DeletionParams,
  Episode,
  EpisodeInfluence,
  EpisodeMap,
  EpisodeMapQuery,
  EpisodeNeighbours,
  EpisodePage,
  EpisodeParams,
  EpisodeQuery,
  EpisodeSearch,
  Feedback,
} from '../schemas/episodes.ts'
import { ref } from '../schemas/ref.ts'
import { solveOptions } from '../solve-once.ts'
import type { App } from '../type-provider.ts'

const PAGE_SIZE = 20
const NEIGHBOURS = 10
const MAP_SIZE = 2_000
const produces = ['application/json']

export interface EpisodeRouteDeps {
  readonly episodes: EpisodeStore
  readonly solver: Pick<Solver, 'answerKeys' | 'recall'>
  /** Fingerprint of the served model: the map shows its episodes. */
  readonly fingerprint: string
}

export function episodeRoutes(app: App, deps: EpisodeRouteDeps): void {
  readRoutes(app, deps)
  memoryRoutes(app, deps)
  changeRoutes(app, deps)
}

function readRoutes(app: App, { episodes }: EpisodeRouteDeps): void {
  app.get(
    '/episodes',
    {
      config: { produces, scope: 'solve' },
      schema: {
        operationId: 'listEpisodes',
        summary: 'List episodes, newest first',
        description: 'With filters, the episodes that pass all of them.',
        tags: ['episodes'],
        querystring: EpisodeQuery,
        response: { 200: json('A page of episodes.', EpisodePage), ...problems(400, 406) },
      },
    },
    ({ query: { limit = PAGE_SIZE, cursor, ...filter }, tenantId }) =>
      episodes.list(tenantId, { limit, filter, ...(cursor !== undefined && { cursor }) }),
  )

  app.get(
    '/episodes/:id',
    {
      config: { produces, scope: 'solve' },
      schema: {
        operationId: 'getEpisode',
        summary: 'Read an episode with all its judged answers',
        tags: ['episodes'],
        params: EpisodeParams,
        response: { 200: json('The episode.', Episode), ...problems(404, 406) },
      },
    },
    ({ params, tenantId }) => episodes.get(tenantId, params.id),
  )

  app.get(
    '/episodes/:id/influence',
    {
      config: { produces, scope: 'solve' },
      schema: {
        operationId: 'getEpisodeInfluence',
        summary: 'Read what led an episode, what it led, and what its deletion changes',
        tags: ['episodes'],
        params: EpisodeParams,
        response: { 200: json('The influence of the episode.', EpisodeInfluence), ...problems(404, 406) },
      },
    },
    ({ params, tenantId }) => episodes.influence(tenantId, params.id),
  )

  app.get(
    '/deletions/:id',
    {
      config: { produces, scope: 'solve' },
      schema: {
        operationId: 'getDeletion',
        summary: 'Watch a deletion',
        tags: ['episodes'],
        params: DeletionParams,
        response: { 200: json('The record of the deletion.', Deletion), ...problems(404, 406) },
      },
    },
    ({ params, tenantId }) => episodes.deletion(tenantId, params.id),
  )
}

function memoryRoutes(app: App, { episodes, solver, fingerprint }: EpisodeRouteDeps): void {
  app.post(
    '/episodes/search',
    {
      config: { produces, scope: 'solve', metered: true },
      schema: {
        operationId: 'searchEpisodes',
        summary: 'Find the episodes whose questions are most similar to a question',
        description:
          'Embeds the question as `POST /solve` does, and returns the episodes that it would retrieve: those of the caller’s tenant and of this model that may influence other requests. Nothing is answered or stored. The tokens of the prompt count against the limits of the key.',
        tags: ['episodes'],
        body: ref(EpisodeSearch),
        response: {
          200: json('The most similar episodes.', EpisodeNeighbours),
          ...problems(400, 403, 406, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const { tenantId, body } = request
      const { question, topK = NEIGHBOURS, minSimilarity = -1 } = body
      const { signal, caller } = solveOptions(reply)
      const wanted = { tenantId, question, topK, minSimilarity }
      const { neighbours, promptTokens } = await solver.recall(wanted, { signal, caller })
      await request.spendTokens(promptTokens)
      const similarities = new Map(neighbours.map(({ episodeId, similarity }) => [episodeId, similarity]))
      const found = await episodes.find(tenantId, [...similarities.keys()])
      return {
        neighbours: found.map((episode) => ({ similarity: similarities.get(episode.id) ?? 0, episode })),
        usage: { promptTokens },
      }
    },
  )

  app.get(
    '/episodes/map',
    {
      config: { produces, scope: 'solve', metered: true },
      schema: {
        operationId: 'mapEpisodes',
        summary: 'Map the memory in two dimensions',
        description:
          'The newest episodes of this model, along the first two principal components of the projections by which retrieval compares questions. Another episode may move all points. Equal requests of a tenant at once share one map; another one of the tenant, or more than four in all, get a 503 with `Retry-After`.',
        tags: ['episodes'],
        querystring: EpisodeMapQuery,
        response: { 200: json('The map.', EpisodeMap), ...problems(400, 406) },
      },
    },
    ({ query: { limit = MAP_SIZE }, tenantId }) => episodes.map(tenantId, { fingerprint, limit }),
  )
}

function changeRoutes(app: App, { episodes, solver: { answerKeys } }: EpisodeRouteDeps): void {
  app.post(
    '/episodes/:id/feedback',
    {
      config: { produces, scope: 'feedback' },
      schema: {
        operationId: 'giveFeedback',
        summary: 'Label an episode: whether its answer is correct, or the correct answer',
        description:
          'Relabels every judged answer of the episode. The latest feedback replaces earlier feedback. An answer that is called wrong is not chosen for the same question again while another one is found, except by `greedy` and without retrieval.',
        tags: ['episodes'],
        params: EpisodeParams,
        body: ref(Feedback),
        response: {
          200: json('The episode with its new labels.', Episode),
          ...problems(400, 403, 404, 406, 413, 415),
        },
      },
    },
    ({ params, body, tenantId }) =>
      episodes.label(tenantId, params.id, 'answer' in body ? answerOf(body, answerKeys) : body, answerKeys),
  )

  app.delete(
    '/episodes/:id',
    {
      config: { scope: 'delete' },
      schema: {
        operationId: 'deleteEpisode',
        summary: 'Delete an episode',
        tags: ['episodes'],
        params: EpisodeParams,
        response: {
          204: { ...Type.Null(), description: 'The episode is deleted.' },
          ...problems(...UNWANTED_BODY, 404),
        },
      },
    },
    async ({ params, tenantId }, reply) => {
      await episodes.remove(tenantId, params.id)
      return reply.code(204).send()
    },
  )

  app.delete(
    '/episodes',
    {
      config: { produces, scope: 'delete' },
      schema: {
        operationId: 'deleteEpisodes',
        summary: 'Delete every episode of the caller’s tenant',
        description:
          'From this response on, no episode that existed is returned, retrieved or trained on. A worker erases them in bites. Episodes stored later stay. A tenant has at most one unfinished deletion: while there is one, it takes the episodes stored since as well, and the response names it.',
        tags: ['episodes'],
        response: {
          202: json('The episodes are hidden, and are being erased.', Deletion, {
            location: Type.String({ description: 'Path of the deletion.' }),
          }),
          ...problems(...UNWANTED_BODY, 406),
        },
      },
    },
    async ({ tenantId }, reply) => {
      const deletion = await episodes.removeAll(tenantId)
      return reply.code(202).header('location', `/deletions/${deletion.id}`).send(deletion)
    },
  )
}

/** @throws ServiceError REQUEST_INVALID for an answer that no answer of the model can equal */
function answerOf(
  feedback: { readonly answer: string },
  { keyOf }: Solver['answerKeys'],
): { readonly answer: string } {
  const answer = keyOf(feedback.answer)
  if (answer !== null) return { answer }
  const detail = 'expected an answer, got a text that the model profile normalises to nothing'
  throw new ServiceError('REQUEST_INVALID', `body/answer: ${detail}`, {
    faults: [{ pointer: '/answer', detail }],
  })
}
