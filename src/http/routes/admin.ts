/** @file `/admin`: lets operators start and watch consolidations, activate artifacts and freeze learning. */

import { Type } from 'typebox'
import { ARTIFACT_KINDS, type ArtifactStore, type ConsolidationStore, type LearningStore } from '#artifacts'
import type { TrainingStore } from '#episodes'
import type { AuditStore } from '#keys'
import type { Tracer } from '#tracing'
import { consolidationReportPage } from '../consolidation-report-page.ts'
import { json, problems, UNWANTED_BODY } from '../responses.ts'
import {
  ActivationRequest,
  ArtifactList,
  ArtifactParams,
  ArtifactQuery,
  ArtifactSchema,
  RejectionRequest,
  toArtifact,
} from '../schemas/artifacts.ts'
import { AuditList, AuditQuery } from '../schemas/audit.ts'
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
import { FreezeRequest, Learning, LearningDays, LearningDaysQuery, toLearning } from '../schemas/learning.ts'
import { ref } from '../schemas/ref.ts'
import type { App } from '../type-provider.ts'

const LIST_SIZE = 20
const AUDIT_SIZE = 100
const LEARNING_DAYS = 30
const JSON_TYPE = 'application/json'
const MARKDOWN_TYPE = 'text/markdown'
const config = { produces: [JSON_TYPE], scope: 'admin' } as const

const reported = json('The steps, durations and decisions of the consolidation.', ConsolidationReport)

export interface AdminRouteDeps {
  readonly consolidations: Pick<ConsolidationStore, 'request' | 'get' | 'list' | 'report'>
  readonly artifacts: Pick<ArtifactStore, 'list' | 'activate' | 'reject'>
  readonly learning: LearningStore
  readonly training: Pick<TrainingStore, 'learningDays'>
  /** Record of the calls of operators. */
  readonly audit: AuditStore
  /** Fingerprint of the served model: consolidations and activations apply to this model. */
  readonly fingerprint: string
}

export function adminRoutes(app: App, deps: AdminRouteDeps, tracer: Pick<Tracer, 'traceparent'>): void {
  consolidationRoutes(app, deps, tracer)
  artifactRoutes(app, deps)
  reviewRoute(app, deps)
  learningRoutes(app, deps)
  auditRoute(app, deps)
}

function auditRoute(app: App, { audit }: AdminRouteDeps): void {
  app.get(
    '/admin/audit',
    {
      config,
      schema: {
        operationId: 'listCalls',
        summary: 'List calls of operators and deletions, newest first',
        description:
          'Every call under `/admin` and every deletion, of all tenants, with its outcome; those that no key allows are in the log alone. The setting `AUDIT_TTL_DAYS` of the server is the time for which they are kept.',
        tags: ['service'],
        querystring: AuditQuery,
        response: { 200: json('The newest calls.', AuditList), ...problems(400, 406) },
      },
    },
    async ({ query: { limit = AUDIT_SIZE, before = null } }) => ({
      calls: await audit.list({ limit, before }),
    }),
  )
}

function consolidationRoutes(
  app: App,
  { consolidations, fingerprint }: AdminRouteDeps,
  tracer: Pick<Tracer, 'traceparent'>,
): void {
  app.post(
    '/admin/consolidations',
    {
      config,
      schema: {
        operationId: 'requestConsolidation',
        summary: 'Start a consolidation now',
        description:
          'A model has at most one consolidation at a time: while one is queued or running, the response names that one. Solving continues meanwhile.',
        tags: ['nights'],
        body: ref(ConsolidationRequest),
        response: {
          202: json('The consolidation is queued or running.', ConsolidationTicket, {
            location: Type.String({ description: 'Path of the consolidation.' }),
          }),
          ...problems(400, 403, 406, 413, 415),
        },
      },
    },
    async ({ body, id: requestId }, reply) => {
      const { artifacts: kinds = ARTIFACT_KINDS, force = false } = body
      const traceparent = tracer.traceparent()
      const { id, status } = await consolidations.request({
        fingerprint,
        kinds,
        force,
        trigger: 'request',
        traceparent,
        requestId,
      })
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
        response: { 200: json('The newest consolidations.', ConsolidationList), ...problems(400, 406) },
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
        response: {
          200: json('The current state of the consolidation.', Consolidation),
          ...problems(404, 406),
        },
      },
    },
    async ({ params }) => toConsolidationView(await consolidations.get(params.id)),
  )

  app.get(
    '/admin/consolidations/:id/report',
    {
      config: { produces: [JSON_TYPE, MARKDOWN_TYPE], scope: 'admin' },
      schema: {
        operationId: 'getNightReport',
        summary: 'Read the report of a consolidation',
        description:
          'The report exists once the consolidation has ended, even if it failed. With `Accept: text/markdown`, the response is a page of Markdown.',
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
}

function artifactRoutes(app: App, { artifacts, fingerprint }: AdminRouteDeps): void {
  app.get(
    '/admin/artifacts',
    {
      config,
      schema: {
        operationId: 'listArtifacts',
        summary: 'List artifacts, newest first',
        tags: ['nights'],
        querystring: ArtifactQuery,
        response: { 200: json('The newest artifacts.', ArtifactList), ...problems(400, 406) },
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
        summary: 'Activate a version: roll back, or forward again',
        description:
          'Every process uses the version within seconds. No request fails because of the change. A version that waits for a review is promoted by it. Any other version that is activated by hand, the active one included, is not rolled back by itself.',
        tags: ['nights'],
        params: ArtifactParams,
        body: ActivationRequest,
        response: {
          200: json('The artifact, now active.', ArtifactSchema),
          ...problems(...UNWANTED_BODY, 404, 406, 409),
        },
      },
    },
    async ({ params, body, log }) => {
      const force = body?.force ?? false
      const artifact = await artifacts.activate(params.id, fingerprint, { force })
      if (force) log.warn({ artifact: artifact.id, status: artifact.status }, 'activation forced')
      return toArtifact(artifact)
    },
  )
}

function reviewRoute(app: App, { artifacts, fingerprint }: AdminRouteDeps): void {
  app.post(
    '/admin/artifacts/:id/reject',
    {
      config,
      schema: {
        operationId: 'rejectArtifact',
        summary: 'Reject a version that waits for a review',
        description:
          'A version that passed the gate waits where `NIGHT_PROMOTE=review` is set, or another version became active meanwhile. It is accepted by `POST /admin/artifacts/{id}/activate`. The active version stays active.',
        tags: ['nights'],
        params: ArtifactParams,
        body: RejectionRequest,
        response: {
          200: json('The artifact, now rejected.', ArtifactSchema),
          ...problems(...UNWANTED_BODY, 404, 406, 409),
        },
      },
    },
    async ({ params, body }) =>
      toArtifact(await artifacts.reject(params.id, { fingerprint, reason: body?.reason ?? null })),
  )
}

function learningRoutes(app: App, { learning, training, fingerprint }: AdminRouteDeps): void {
  app.get(
    '/admin/learning',
    {
      config,
      schema: {
        operationId: 'getLearning',
        summary: 'See whether learning is frozen',
        tags: ['nights'],
        response: { 200: json('The state of learning.', Learning), ...problems(406) },
      },
    },
    async () => toLearning(await learning.state()),
  )

  app.get(
    '/admin/learning/days',
    {
      config,
      schema: {
        operationId: 'listLearningDays',
        summary: 'Read how good and how costly the answers of each day were',
        description:
          'Sums over the stored answers to requests of all tenants, by strategy and versions: the learning curve of the service. Erased and expired episodes no longer count.',
        tags: ['nights'],
        querystring: LearningDaysQuery,
        response: { 200: json('The days.', LearningDays), ...problems(400, 406) },
      },
    },
    async ({ query: { days = LEARNING_DAYS } }) => ({
      days: await training.learningDays({ fingerprint, days }),
    }),
  )

  app.post(
    '/admin/freeze',
    {
      config,
      schema: {
        operationId: 'freezeLearning',
        summary: 'Stop all learning',
        description:
          'Within seconds, no process keeps an episode, and a running consolidation ends before its next step. Answers and retrieval go on. If learning is frozen, nothing changes.',
        tags: ['nights'],
        body: FreezeRequest,
        response: { 200: json('Learning is frozen.', Learning), ...problems(...UNWANTED_BODY, 406) },
      },
    },
    async ({ body }) => toLearning(await learning.freeze({ reason: body?.reason })),
  )

  app.post(
    '/admin/unfreeze',
    {
      config,
      schema: {
        operationId: 'unfreezeLearning',
        summary: 'Resume learning',
        description: 'If learning is not frozen, nothing changes.',
        tags: ['nights'],
        response: { 200: json('Learning goes on.', Learning), ...problems(...UNWANTED_BODY, 406) },
      },
    },
    async () => toLearning(await learning.unfreeze()),
  )
}
