/** @file `/episodes` and `/deletions`: lists, reads, labels and deletes the episodes of the caller's tenant. */

import { Type } from 'typebox'
import type { EpisodeStore } from '#episodes'
import { ServiceError } from '#errors'
import type { Solver } from '#solving'
import { json, problems, UNWANTED_BODY } from '../responses.ts'
import {
  Deletion,
  DeletionParams,
  Episode,
  EpisodePage,
  EpisodeParams,
  EpisodeQuery,
  Feedback,
} from '../schemas/episodes.ts'
import { ref } from '../schemas/ref.ts'
import type { App } from '../type-provider.ts'

const PAGE_SIZE = 20
const produces = ['application/json']

export interface EpisodeRouteDeps {
  readonly episodes: EpisodeStore
  readonly answerKeys: Solver['answerKeys']
}

export function episodeRoutes(app: App, { episodes, answerKeys }: EpisodeRouteDeps): void {
  app.get(
    '/episodes',
    {
      config: { produces, scope: 'solve' },
      schema: {
        operationId: 'listEpisodes',
        summary: 'List episodes, newest first',
        tags: ['episodes'],
        querystring: EpisodeQuery,
        response: { 200: json('A page of episodes.', EpisodePage), ...problems(400, 406) },
      },
    },
    ({ query: { limit = PAGE_SIZE, cursor }, tenantId }) =>
      episodes.list(tenantId, cursor === undefined ? { limit } : { limit, cursor }),
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

  app.post(
    '/episodes/:id/feedback',
    {
      config: { produces, scope: 'feedback' },
      schema: {
        operationId: 'giveFeedback',
        summary: 'Label an episode: whether its answer is correct, or the correct answer',
        description:
          'Relabels every judged answer of the episode. The latest feedback replaces earlier feedback.',
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
