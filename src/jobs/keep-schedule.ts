/** @file The schedule of nights, kept by the queue: whichever worker is there when one is due. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { coerceError } from '#errors'
import type { JobQueue } from './job-queue.ts'

const RETRY_MS = 1_000

/** Sets the schedule, or takes it away, as soon as the queue lets it. @param cron null: no schedule */
export function keepSchedule(
  queue: Pick<JobQueue, 'isReady' | 'scheduleConsolidations'>,
  cron: string | null,
  logger: Logger,
): { close(): Promise<void> } {
  const stopping = new AbortController()

  async function set(): Promise<void> {
    let hasSaid = false
    while (!stopping.signal.aborted) {
      try {
        if (queue.isReady()) return await queue.scheduleConsolidations(cron)
      } catch (thrown) {
        if (!hasSaid) logger.warn({ err: coerceError(thrown) }, 'the schedule of nights could not be set yet')
        hasSaid = true
      }
      await delay(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const setting = set()
  return {
    close: () => {
      stopping.abort()
      return setting
    },
  }
}
