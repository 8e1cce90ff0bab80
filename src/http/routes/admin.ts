/** @file Nights on request, and what they made: for operators. */

import { Type } from 'typebox'
import { ARTIFACT_KINDS, type ArtifactStore, type ConsolidationStore } from '#artifacts'
import { consolidationReportPage } from '../consolidation-report-page.ts'
import { json, problems, UNWANTED_BODY } from '../responses.ts'
import {
  ArtifactList,
  ArtifactParams,
  ArtifactQuery,
  ArtifactSchema,
  toArtifact,
} from '../schemas/artifacts.ts'
import { ConsolidationReport } from '../schemas/consolidation-report.ts'
import {
  Consolidation,
  ConsolidationList,
  ConsolidationParams,
  ConsolidationQuery,
  ConsolidationRequest,
  ConsolidationTicket,
  toConsolidationView,
} from '../schemas/consolidations.ts'
import { ref } from '../schemas/ref.ts'
import type { App } from '../type-provider.ts'

const LIST_SIZE = 20
const JSON_TYPE = 'application/json'
const MARKDOWN_TYPE = 'text/markdown'
const config = { produces: [JSON_TYPE] }

const reported = json('What it did, took and decided.', ConsolidationReport)

export interface AdminRouteDeps {
  readonly consolidations: Pick<ConsolidationStore, 'request' | 'get' | 'list' | 'report'>
  readonly artifacts: Pick<ArtifactStore, 'list' | 'activate'>
  /** Of the model that serves: what is asked for here is asked for it. */
  readonly fingerprint: string
}

export function adminRoutes(app: App, { consolidations, artifacts, fingerprint }: AdminRouteDeps): void {
  app.post(
    '/admin/consolidations',
    {
      config,
      schema: {
        operationId: 'requestConsolidation',
        summary: 'Learn from what is remembered, now',
        description:
          'At most one at a time for a model: while one is queued or running, that one is returned. Solving goes on meanwhile.',
        tags: ['nights'],
        body: ref(ConsolidationRequest),
        response: {
          202: json('It is queued, or under way.', ConsolidationTicket, {
            location: Type.String({ description: 'Where to watch it.' }),
          }),
          ...problems(400, 406, 413, 415),
        },
      },
    },
    async ({ body }, reply) => {
      const { artifacts: kinds = ARTIFACT_KINDS, force = false } = body
      const { id, status } = await consolidations.request({ fingerprint, kinds, force, trigger: 'request' })
      return reply.code(202).header('location', `/admin/consolidations/${id}`).send({ id, status })
    },
  )

  app.get(
    '/admin/consolidations',
    {
      config,
      schema: {
        operationId: 'listConsolidations',
        summary: 'List consolidations, newest first',
        tags: ['nights'],
        querystring: ConsolidationQuery,
        response: { 200: json('The newest ones.', ConsolidationList), ...problems(400, 406) },
      },
    },
    async ({ query: { limit = LIST_SIZE } }) => ({
      consolidations: (await consolidations.list({ limit })).map(toConsolidationView),
    }),
  )

  app.get(
    '/admin/consolidations/:id',
    {
      config,
      schema: {
        operationId: 'getConsolidation',
        summary: 'Watch a consolidation',
        tags: ['nights'],
        params: ConsolidationParams,
        response: { 200: json('As it is now.', Consolidation), ...problems(404, 406) },
      },
    },
    async ({ params }) => toConsolidationView(await consolidations.get(params.id)),
  )

  app.get(
    '/admin/consolidations/:id/report',
    {
      config: { produces: [JSON_TYPE, MARKDOWN_TYPE] },
      schema: {
        operationId: 'getNightReport',
        summary: 'Read what a consolidation did',
        description: 'There when it has ended, also as failed. With `Accept: text/markdown` as a page.',
        tags: ['nights'],
        params: ConsolidationParams,
        response: {
          200: { ...reported, content: { ...reported.content, [MARKDOWN_TYPE]: { schema: Type.String() } } },
          ...problems(404, 406),
        },
      },
    },
    async ({ params, acceptedType }, reply) => {
      const report = await consolidations.report(params.id)
      return acceptedType === MARKDOWN_TYPE
        ? reply.type(`${MARKDOWN_TYPE}; charset=utf-8`).send(consolidationReportPage(report))
        : reply.type(JSON_TYPE).send(report)
    },
  )

  app.get(
    '/admin/artifacts',
    {
      config,
      schema: {
        operationId: 'listArtifacts',
        summary: 'List what was trained, newest first',
        tags: ['nights'],
        querystring: ArtifactQuery,
        response: { 200: json('The newest ones.', ArtifactList), ...problems(400, 406) },
      },
    },
    async ({ query: { limit = LIST_SIZE, ...filter } }) => ({
      artifacts: (await artifacts.list({ ...filter, limit })).map(toArtifact),
    }),
  )

  app.post(
    '/admin/artifacts/:id/activate',
    {
      config,
      schema: {
        operationId: 'activateArtifact',
        summary: 'Let this version serve: roll back, or forward again',
        description: 'Every process serves it within seconds, and no request fails for it.',
        tags: ['nights'],
        params: ArtifactParams,
        response: {
          200: json('It is active.', ArtifactSchema),
          ...problems(...UNWANTED_BODY, 404, 406, 409),
        },
      },
    },
    async ({ params }) => toArtifact(await artifacts.activate(params.id, fingerprint)),
  )
}
