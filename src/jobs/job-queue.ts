/** @file Interfaces of queues, workers and backends, independent of where the queues are. */

import type { Redis } from 'ioredis'
import type { NewJob, QueueName } from './contracts.ts'

export interface JobQueue {
  /** False while the queue is known to be unavailable; the caller should not add jobs then. */
  isReady(): boolean
  /** Adds jobs, ignores those whose id the queue has. Rejects within seconds if the queue is unavailable. */
  add(jobs: readonly NewJob[]): Promise<void>
  /** Schedules `CONSOLIDATION_DUE` jobs. @param cron in UTC; null removes the schedule */
  scheduleConsolidations(cron: string | null): Promise<void>
}

export interface JobWorker {
  /** Finishes the current jobs first. */
  close(): Promise<void>
}

/** A job as a processor sees it. */
export interface QueuedJob {
  readonly id?: string | undefined
  readonly name: string
  readonly data: unknown
  /** Number of failed attempts so far. */
  readonly attemptsMade: number
}

export type JobProcessor = (job: QueuedJob) => Promise<void>

/** Thrown by a processor when the worker stops: the job goes back to the queue, and counts as not failed. */
export class RequeueError extends Error {
  override readonly name = 'RequeueError'
}

/** Connection to Redis that fails at once while Redis does not answer. */
export interface RedisConnection {
  readonly client: Redis
  /** Returns the prefix of all keys. @throws ServiceError STORE_UNAVAILABLE before the database has answered once */
  readonly keyPrefix: () => Promise<string>
}

/** Redis, or the tables of BullMQ's PostgreSQL backend. */
export interface QueueBackend {
  /** Connection for counters; null: there is no Redis. */
  readonly redis: RedisConnection | null
  /** @throws ServiceError QUEUE_UNAVAILABLE */
  ping(): Promise<void>
  /** Returns the queue of that name, which opens in the background and closes with the backend. */
  openQueue(name: QueueName): JobQueue
  openWorker(name: QueueName, process: JobProcessor, options: { readonly concurrency: number }): JobWorker
  close(): Promise<void>
}
