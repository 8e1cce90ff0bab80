/** @file `GET /metrics`: metrics for Prometheus. */

import { problems, text } from '../responses.ts'
import type { App } from '../type-provider.ts'

export interface Exposition {
  readonly contentType: string
  readonly text: string
}

/**
 * Adds the route. It ignores `Accept`: scrapers request various formats, but all of them can read this one.
 */
export function metricsRoute(app: App, expose: () => Promise<Exposition>): void {
  app.get(
    '/metrics',
    {
      config: { scope: 'metrics' },
      schema: {
        operationId: 'getMetrics',
        summary: 'Read the metrics of the service, for Prometheus',
        tags: ['service'],
        response: {
          200: text('Metrics in Prometheus text format 0.0.4, regardless of `Accept`.'),
          ...problems(),
        },
      },
    },
    async (_request, reply) => {
      const exposition = await expose()
      return reply.type(exposition.contentType).send(exposition.text)
    },
  )
}
