/** @file Sends what libraries write to the console through the logger: every line of the log is JSON. */

import { format } from 'node:util'
import type { Logger } from 'pino'

/** Replaces `console.warn` and `console.error`. A text is logged once: BullMQ warns once a connection. */
export function routeConsole(logger: Logger, target: Pick<Console, 'warn' | 'error'> = console): void {
  const logged = new Set<string>()
  const warn = (...values: unknown[]): void => {
    const text = format(...values)
    if (logged.has(text)) return
    if (logged.size < MAX_TEXTS) logged.add(text)
    logger.warn({ console: true }, text)
  }
  target.warn = warn
  target.error = warn
}

const MAX_TEXTS = 100
