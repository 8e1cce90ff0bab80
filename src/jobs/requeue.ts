/** @file How a processor that was told to stop gives its job back. */

import { type Job, WaitingError } from 'bullmq'
import { type JobProcessor, RequeueError } from './job-queue.ts'

/** What BullMQ calls for each job. */
export function requeueOnShutdown(process: JobProcessor) {
  return async (job: Job, token?: string): Promise<void> => {
    try {
      await process(job)
    } catch (thrown) {
      if (!(thrown instanceof RequeueError)) throw thrown
      await job.moveToWait(token)
      throw new WaitingError()
    }
  }
}
