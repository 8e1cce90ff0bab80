/** @file The time between the wish to stop and the end: what runs finishes, what comes is sent elsewhere. */

import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'

/**
 * Answers new requests with SHUTTING_DOWN once `isDraining` says so or the app is being closed, and asks their
 * connections to go. Whether the process lives (`/livez`) is still answered: it does.
 */
export function refuseWhileDraining(app: FastifyInstance, isDraining: () => boolean): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onRequest', async (request, reply) => {
    if ((closing || isDraining()) && request.routeOptions.url !== '/livez') {
      reply.header('connection', 'close')
      throw new ServiceError('SHUTTING_DOWN', 'server: expected to be running, is shutting down')
    }
  })
}
