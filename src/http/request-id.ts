/** @file The id that ties a request to its log lines and to the caller's own. */

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** The caller's `x-request-id` when it is harmless to log and to echo, else a new one. */
export function createRequestId(request?: Pick<IncomingMessage, 'headers'>): string {
  const given = request?.headers['x-request-id']
  return typeof given === 'string' && /^[0-9A-Za-z_.-]{1,64}$/.test(given) ? given : randomUUID()
}
