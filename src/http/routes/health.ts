/** @file `/livez` reports that the process answers, `/readyz` that it can answer questions. */

import type { FastifyReply } from 'fastify'
import { json, problems } from '../responses.ts'
import { Liveness, Readiness, ReadinessQuery } from '../schemas/health.ts'
import type { App } from '../type-provider.ts'

export type Dependency = 'database' | 'queue' | 'engine' | 'model'

/** Dependencies without which no question can be answered; without the others, answers are degraded. */
const REQUIRED: readonly Dependency[] = ['engine', 'model']

/** State of every dependency. `detail` is sent to callers, so it must not contain secrets. */
export type Health = Readonly<Record<Dependency, { readonly ok: boolean; readonly detail?: string }>>

const RETRY_AFTER_SECONDS = 5
const config = { produces: ['application/json'] }

export function healthRoutes(app: App, health: () => Promise<Health>): void {
  app.get(
    '/livez',
    {
      config,
      schema: {
        operationId: 'getLiveness',
        summary: 'Check that the process is alive',
        tags: ['service'],
        response: { 200: json('The process is alive.', Liveness), ...problems(406) },
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  const unready = json(
    'The service cannot answer questions, or (with `strict`) a dependency is unavailable.',
    Readiness,
  )
  const { 503: problem, ...others } = problems(400, 406)
  app.get(
    '/readyz',
    {
      config,
      schema: {
        operationId: 'getReadiness',
        summary: 'Check that the service can solve problems',
        description:
          'Ready means that engine and model are: without database or queue the service answers, `degraded`.',
        tags: ['service'],
        querystring: ReadinessQuery,
        response: {
          200: json('The service can answer questions.', Readiness),
          ...others,
          503: { ...unready, content: { ...unready.content, ...problem?.content } },
        },
      },
    },
    async ({ query: { strict } }, reply): Promise<FastifyReply> => {
      const checks = await health()
      const status = statusOf(checks)
      const isStrict = strict !== undefined && strict !== 'false'
      if (status === 'unready' || (isStrict && status === 'degraded'))
        reply.code(503).header('retry-after', RETRY_AFTER_SECONDS)
      return reply.type('application/json').send({ status, checks })
    },
  )
}

function statusOf(checks: Health): 'ready' | 'degraded' | 'unready' {
  if (REQUIRED.some((name) => !checks[name].ok)) return 'unready'
  return Object.values(checks).every(({ ok }) => ok) ? 'ready' : 'degraded'
}
