/** @file The deletions of all episodes of a tenant: erases in bites, at a bounded pace. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Database } from '#database'
import { eraseBite } from '#episodes'
import { coerceError } from '#errors'
import { throttleLog } from '#throttle-log'

/** Interval of looks for a deletion. */
const POLL_MS = 1_000
/** Shortest pause after a bite. */
const MIN_PAUSE_MS = 10

export interface RunDeletionsParts {
  readonly database: Pick<Database, 'pool'>
  readonly logger: Logger
}

/**
 * Starts the deletions, those that an earlier worker left unfinished included: their records are the queue. After
 * each bite it pauses for as long as the bite took, so deletions take at most half of the time of one connection.
 * Several workers may run it; each bite is done by one of them.
 */
export function startDeletions({ database, logger }: RunDeletionsParts): { close(): Promise<void> } {
  const stopping = new AbortController()
  const log = throttleLog(logger)

  /** Does one bite. @returns milliseconds until the next one */
  async function bite(): Promise<number> {
    const started = performance.now()
    const deletion = await eraseBite(database)
    if (deletion === null) return POLL_MS
    if (deletion.status === 'finished') {
      const { id, deleted, withdrawn, artifacts } = deletion
      logger.info({ deletion: id, ...deleted, withdrawn, artifacts }, 'episodes of a tenant deleted')
    }
    return Math.max(MIN_PAUSE_MS, performance.now() - started)
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = await bite().catch((thrown: unknown) => {
        log.warn('failed', { err: coerceError(thrown) }, 'deletion of episodes failed: trying again')
        return POLL_MS
      })
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    close: () => {
      stopping.abort()
      return running
    },
  }
}
