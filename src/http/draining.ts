/** @file The time between the wish to stop and the end: what runs finishes, what comes is sent elsewhere. */

import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'

const STILL_ANSWERED: ReadonlySet<string | undefined> = new Set(['/livez', '/metrics'])

/**
 * Answers new requests with SHUTTING_DOWN once `isDraining` says so or the app is being closed, and lets go of every
 * connection after its answer: kept open for a next request, it would hold up `close()`. Whether the process lives
 * (`/livez`) is still answered: it does. So is what it has done (`/metrics`), or the last requests would go uncounted.
 */
export function refuseWhileDraining(app: FastifyInstance, isDraining: () => boolean): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onRequest', async (request) => {
    if ((closing || isDraining()) && !STILL_ANSWERED.has(request.routeOptions.url)) {
      throw new ServiceError('SHUTTING_DOWN', 'server: expected to be running, is shutting down')
    }
  })
  app.addHook('onSend', async (_request, reply) => {
    if (closing || isDraining()) reply.header('connection', 'close')
  })
  // An event stream sent its headers long ago.
  app.addHook('onResponse', async (request) => {
    if (closing) request.socket.destroySoon()
  })
}
