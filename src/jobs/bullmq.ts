/** @file The use of BullMQ that both backends share: queues as `JobQueue`, processors, log lines. */

import { type Job, type Queue, WaitingError } from 'bullmq'
import type { Logger } from 'pino'
import { CONSOLIDATION_DUE } from './contracts.ts'
import { type JobProcessor, type JobQueue, RequeueError } from './job-queue.ts'

/** Id of the only job scheduler: setting it again replaces it. Queues store the id, so it must not change. */
const SCHEDULER_ID = 'night'

/** The part of a BullMQ queue that is used here: the type of a queue depends on its backend. */
interface BullQueue
  extends Pick<Queue, 'name' | 'addBulk' | 'upsertJobScheduler' | 'removeJobScheduler' | 'close'> {
  on(event: 'error', listener: (error: Error) => void): unknown
}

interface BullWorker {
  readonly name: string
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'stalled', listener: (jobId: string) => void): unknown
  on(event: 'lockRenewalFailed', listener: (jobIds: string[]) => void): unknown
  on(event: 'failed', listener: (job: FailedJob | undefined, error: Error) => void): unknown
}

interface FailedJob {
  readonly id?: string | undefined
  readonly attemptsMade: number
}

/** Adapts a BullMQ queue, and logs its errors: an `error` event without a listener ends the process. */
export function toJobQueue(queue: BullQueue, isReady: () => boolean, logger: Logger): JobQueue {
  queue.on('error', (error) => logger.warn({ err: error, queue: queue.name }, 'queue error'))
  return {
    isReady,
    async add(jobs) {
      await queue.addBulk(jobs.map(({ id, name, payload }) => ({ name, data: payload, opts: { jobId: id } })))
    },
    async scheduleConsolidations(cron) {
      if (cron === null) {
        await queue.removeJobScheduler(SCHEDULER_ID)
        return
      }
      // UTC: a time means the same moment on every worker.
      const repeat = { pattern: cron, tz: 'UTC' }
      const opts = { removeOnComplete: true, removeOnFail: true }
      await queue.upsertJobScheduler(SCHEDULER_ID, repeat, { name: CONSOLIDATION_DUE, data: {}, opts })
    },
    close: () => queue.close(),
  }
}

/** Adapts a processor for BullMQ: a job whose processor throws `RequeueError` goes back to the queue. */
export function toBullProcessor(process: JobProcessor) {
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

/** Logs the events of a worker: an `error` event without a listener ends the process. */
export function logWorkerEvents(worker: BullWorker, logger: Logger): void {
  const queue = worker.name
  worker.on('error', (error) => logger.warn({ err: error, queue }, 'worker error'))
  worker.on('stalled', (jobId) => logger.warn({ queue, jobId }, 'worker of a job died: job requeued'))
  worker.on('lockRenewalFailed', (jobIds) => logger.warn({ queue, jobIds }, 'job locks not renewed'))
  worker.on('failed', (job, error) =>
    logger.warn({ err: error, queue, jobId: job?.id, attempts: job?.attemptsMade }, 'job failed'),
  )
}
