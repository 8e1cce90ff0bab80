/** @file `GET /metrics`: what scrapers read. */

import { problems, text } from '../responses.ts'
import type { App } from '../type-provider.ts'

export interface Exposition {
  readonly contentType: string
  readonly text: string
}

/** Scrapers ask for formats of theirs; all of them read this one, so `Accept` is not looked at. */
export function metricsRoute(app: App, expose: () => Promise<Exposition>): void {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'What it does and has done, for Prometheus',
        tags: ['service'],
        response: {
          200: text('Metrics in Prometheus text format 0.0.4, whatever was accepted.'),
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
