/** @file Records a span for each request, and runs its handler inside that span. */

import type { FastifyInstance } from 'fastify'
import { type OpenSpan, requestAttributes, responseAttributes, type Tracer } from '#tracing'

declare module 'fastify' {
  interface FastifyRequest {
    /** Span of the request; null for probes and unknown routes. */
    span: OpenSpan | null
  }
}

const CLIENT_DISCONNECTED = 499

/**
 * Begins a span with the headers of a request and ends it with its response. The span continues the trace of
 * the header `traceparent`.
 *
 * @param probes routes that are not recorded
 */
export function traceRequests(app: FastifyInstance, tracer: Tracer, probes: ReadonlySet<string>): void {
  app.decorateRequest('span', null)

  app.addHook('onRequest', async (request, reply) => {
    const { url } = request.routeOptions
    if (url === undefined || probes.has(url)) return
    const { method, id, headers } = request
    const span = tracer.open(`${method} ${url}`, requestAttributes({ method, route: url, id }), {
      kind: 'server',
      traceparent: headers['traceparent']?.toString(),
    })
    request.span = span
    reply.raw.once('close', () => {
      const status = reply.raw.writableFinished ? reply.raw.statusCode : CLIENT_DISCONNECTED
      span.set(responseAttributes(status))
      span.end(status >= 500 ? String(status) : undefined)
    })
  })

  // Here and not above: the events of the body, which is read in between, do not run inside the span.
  app.addHook('preHandler', (request, _reply, done) => {
    if (request.span === null) done()
    else request.span.run(done)
  })
}
