/** @file What the room needs of a queue, whatever keeps it. */

import type { NewJob, QueueName } from './contracts.ts'

export interface JobQueue {
  /** False while the queue is known to be away: nothing should be handed over. */
  isReady(): boolean
  /** Adds jobs; those whose id the queue has are ignored. Rejects within seconds when the queue is away. */
  add(jobs: readonly NewJob[]): Promise<void>
  /** Sets when the queue puts a `CONSOLIDATION_DUE` into itself; null: never. */
  scheduleConsolidations(cron: string | null): Promise<void>
  close(): Promise<void>
}

interface JobWorker {
  /** Finishes the jobs in hand first. */
  close(): Promise<void>
}

/** A job as a processor sees it. */
export interface QueuedJob {
  readonly id?: string | undefined
  readonly name: string
  readonly data: unknown
  /** How often it has failed so far. */
  readonly attemptsMade: number
}

export type JobProcessor = (job: QueuedJob) => Promise<void>

/** Thrown by a processor that is told to stop: the job goes back in line as it was, and has not failed. */
export class RequeueError extends Error {
  override readonly name = 'RequeueError'
}

/** Redis, or the tables of BullMQ's Postgres backend. */
export interface QueueBackend {
  /** @throws ServiceError QUEUE_UNAVAILABLE */
  ping(): Promise<void>
  openQueue(name: QueueName): JobQueue
  openWorker(name: QueueName, process: JobProcessor, options: { readonly concurrency: number }): JobWorker
  close(): Promise<void>
}
