/** @file `/livez` reports that the process answers, `/readyz` that all its dependencies do. */

import type { FastifyReply } from 'fastify'
import { json, problems } from '../responses.ts'
import { Liveness, Readiness } from '../schemas/health.ts'
import type { App } from '../type-provider.ts'

/** Dependencies without which the service cannot work. */
export type Dependency = 'database' | 'queue' | 'engine' | 'model'

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

  const unready = json('A dependency is unavailable, or the server is shutting down.', Readiness)
  const { 503: problem, ...others } = problems(406)
  app.get(
    '/readyz',
    {
      config,
      schema: {
        operationId: 'getReadiness',
        summary: 'Check that the service can solve problems',
        tags: ['service'],
        response: {
          200: json('All dependencies are available.', Readiness),
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
