/** @file What each answered request was and how long it took, for whoever counts. */

import type { FastifyInstance } from 'fastify'

export interface RequestObservation {
  readonly method: string
  /** The route's pattern, never the path that was asked: `/episodes/:id`. */
  readonly route: string
  /** Of the reply; 499 when the caller hung up before there was one. */
  readonly status: number
  /** From the request's headers to the end of the reply. */
  readonly seconds: number
}

/** Of requests that no route takes. Their paths and methods are the caller's invention. */
const UNMATCHED = { method: 'any', route: 'unmatched' }
const HUNG_UP = 499

/** Calls `observe` once for every request that reached the router. */
export function observeRequests(
  app: FastifyInstance,
  observe: (observation: RequestObservation) => void,
): void {
  app.addHook('onRequest', async (request, reply) => {
    const { url } = request.routeOptions
    const startedAt = performance.now()
    const place = url === undefined ? UNMATCHED : { method: request.method, route: url }
    const done = (status: number) =>
      observe({ ...place, status, seconds: (performance.now() - startedAt) / 1000 })
    const hungUp = () => done(HUNG_UP)
    reply.raw.once('close', hungUp)
    reply.raw.once('finish', () => {
      reply.raw.off('close', hungUp)
      done(reply.raw.statusCode)
    })
  })
}
