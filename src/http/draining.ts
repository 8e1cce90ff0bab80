/** @file Refuses new requests during shutdown, while requests in flight finish. */

import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'

/**
 * Routes that are answered during shutdown: liveness is still true, and a scrape must count the last
 * requests.
 */
const ANSWERED_WHILE_DRAINING: ReadonlySet<string | undefined> = new Set(['/livez', '/metrics'])

/**
 * Answers new requests with SHUTTING_DOWN once `isDraining` returns true or the app is being closed. Closes
 * every connection after its response, because a connection kept open for a next request would delay
 * `close()`.
 */
export function refuseWhileDraining(app: FastifyInstance, isDraining: () => boolean): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onRequest', async (request) => {
    if ((closing || isDraining()) && !ANSWERED_WHILE_DRAINING.has(request.routeOptions.url)) {
      throw new ServiceError(
        'SHUTTING_DOWN',
        'server: expected a running server, got one that is shutting down',
      )
    }
  })
  app.addHook('onSend', async (_request, reply) => {
    if (closing || isDraining()) reply.header('connection', 'close')
  })
  // An event stream has already sent its headers, so its connection is closed here.
  app.addHook('onResponse', async (request) => {
    if (closing) request.socket.destroySoon()
  })
}
