/** @file The schedule of nights as BullMQ knows it. */

import type { Queue } from 'bullmq'
import { CONSOLIDATION_DUE } from './contracts.ts'

/** Of the queue's one scheduler: setting it again replaces it. */
const SCHEDULER = 'night'

/** @param cron read in UTC, so that workers anywhere mean the same night; null takes the schedule away */
export async function scheduleConsolidations(
  queue: Pick<Queue, 'upsertJobScheduler' | 'removeJobScheduler'>,
  cron: string | null,
): Promise<void> {
  if (cron === null) {
    await queue.removeJobScheduler(SCHEDULER)
    return
  }
  const options = { removeOnComplete: true, removeOnFail: true }
  await queue.upsertJobScheduler(
    SCHEDULER,
    { pattern: cron, tz: 'UTC' },
    { name: CONSOLIDATION_DUE, data: {}, opts: options },
  )
}
