/** @file `/livez`: the process answers. `/readyz`: everything it needs does, too. */

import type { FastifyReply } from 'fastify'
import { json, problems } from '../responses.ts'
import { Liveness, Readiness } from '../schemas/health.ts'
import type { App } from '../type-provider.ts'

/** What the service cannot do without. */
export type Dependency = 'database' | 'queue' | 'engine' | 'model'

/** State of every dependency; `detail` is shown to callers, so it must not hold secrets. */
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
        summary: 'Is the process alive?',
        tags: ['service'],
        response: { 200: json('It is.', Liveness), ...problems(406) },
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  const unready = json('Something is missing, or the server is shutting down.', Readiness)
  const { 503: problem, ...others } = problems(406)
  app.get(
    '/readyz',
    {
      config,
      schema: {
        operationId: 'getReadiness',
        summary: 'Can it solve problems?',
        tags: ['service'],
        response: {
          200: json('Everything is there.', Readiness),
          ...others,
          503: { ...unready, content: { ...unready.content, ...problem?.content } },
        },
      },
    },
    async (_request, reply): Promise<FastifyReply> => {
      const checks = await health()
      const ready = Object.values(checks).every(({ ok }) => ok)
      if (!ready) reply.code(503).header('retry-after', RETRY_AFTER_SECONDS)
      return reply.type('application/json').send({ status: ready ? 'ready' : 'unready', checks })
    },
  )
}
