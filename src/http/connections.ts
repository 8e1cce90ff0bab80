/** @file Limits the number of connections and their silence during a response, and answers expectations that Node would answer without a body. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { DropArgument } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'
import { createThrottle } from '#throttle-log'
import { replyWithoutFastify } from './error-replies.ts'

interface ConnectionLogger {
  warn(details: object, message: string): void
}

/**
 * Closes connections beyond `maxConnections` at once. Logs the first one, then at most one line a minute with
 * the number of connections that were closed since.
 */
export function limitConnections(
  server: Server,
  maxConnections: number,
  logger: ConnectionLogger,
  now?: () => number,
): void {
  const throttle = createThrottle(now)
  server.maxConnections = maxConnections
  server.on('drop', (connection?: DropArgument) => {
    const passed = throttle('drop')
    if (passed === null) return
    const closed = (passed.repeated ?? 0) + 1
    logger.warn(
      { maxConnections, closed, remoteAddress: connection?.remoteAddress },
      'too many connections: new ones are closed',
    )
  })
}

/**
 * Closes the connection of a client that takes nothing of its response for `stallMs`. A client that reads slowly keeps its
 * connection. Event streams have their own limit.
 */
export function closeUnread(app: FastifyInstance, stallMs: number): void {
  app.addHook('onSend', async (_request, { raw }) => {
    // Node counts each part that the client takes as activity.
    raw.setTimeout(stallMs, () => raw.destroy())
    // Before Node sets the time of an idle connection: a pipelined request may be in progress, which takes what it takes.
    // The listener is for simulated responses, which have no time without one.
    raw.prependOnceListener('finish', () => raw.setTimeout(0, () => {}))
  })
}

/** Answers an `Expect` header other than `100-continue` with EXPECTATION_FAILED. */
export function refuseExpectations(server: Server): void {
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    replyWithoutFastify(
      response,
      new ServiceError('EXPECTATION_FAILED', 'expect: expected 100-continue, got another value'),
    )
  })
}
