/** @file Reports the route, the status and the duration of each request to an observer. */

import type { FastifyInstance } from 'fastify'

export interface RequestObservation {
  readonly method: string
  /** Pattern of the route, such as `/episodes/:id`, never the requested path. */
  readonly route: string
  /** Status of the response; 499 if the caller disconnected before it was complete. */
  readonly status: number
  /** Time from the headers of the request to the end of the response. */
  readonly seconds: number
}

/** Labels of requests without a route, whose paths and methods callers can make up. */
const UNMATCHED = { method: 'any', route: 'unmatched' }
const CLIENT_DISCONNECTED = 499

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
    const onDisconnect = () => done(CLIENT_DISCONNECTED)
    reply.raw.once('close', onDisconnect)
    reply.raw.once('finish', () => {
      reply.raw.off('close', onDisconnect)
      done(reply.raw.statusCode)
    })
  })
}
