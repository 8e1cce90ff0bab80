/** @file What queues and workers say about themselves. BullMQ ends the process on an `error` event without a listener. */

import type { Logger } from 'pino'

interface QueueEvents {
  readonly name: string
  on(event: 'error', listener: (error: Error) => void): unknown
}

interface WorkerEvents extends QueueEvents {
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'stalled', listener: (jobId: string) => void): unknown
  on(event: 'lockRenewalFailed', listener: (jobIds: string[]) => void): unknown
  on(event: 'failed', listener: (job: FailedJob | undefined, error: Error) => void): unknown
}

interface FailedJob {
  readonly id?: string | undefined
  readonly attemptsMade: number
}

export function logQueue(queue: QueueEvents, logger: Logger): void {
  queue.on('error', (error) => logger.warn({ err: error, queue: queue.name }, 'queue error'))
}

export function logWorker(worker: WorkerEvents, logger: Logger): void {
  const queue = worker.name
  worker.on('error', (error) => logger.warn({ err: error, queue }, 'worker error'))
  worker.on('stalled', (jobId) => logger.warn({ queue, jobId }, 'job of a dead worker goes back in line'))
  worker.on('lockRenewalFailed', (jobIds) => logger.warn({ queue, jobIds }, 'locks of jobs not renewed'))
  worker.on('failed', (job, error) =>
    logger.warn({ err: error, queue, jobId: job?.id, attempts: job?.attemptsMade }, 'job failed'),
  )
}
