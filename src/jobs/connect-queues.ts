/** @file Where the queues are: in Redis, or in the instance's own database. The code above is the same. */

import type { Logger } from 'pino'
import type { Database } from '#database'
import type { QueueBackend } from './job-queue.ts'
import { createQueueInPostgres } from './postgres-backend.ts'
import { createRedisBackend } from './redis-backend.ts'
import { type RunningWorker, startWorker, type WorkerParts } from './start-worker.ts'

export interface QueuesOptions {
  /** Absent: BullMQ's Postgres backend on `database`. */
  readonly redisUrl?: string | undefined
  readonly database: Database
  readonly logger: Logger
  /** Of every key in Redis. */
  readonly prefix?: string
  /** Milliseconds after which a worker that says nothing of its job is taken to be dead; each queue has its own unless given. */
  readonly lockMs?: number
}

export interface Queues {
  /** @throws ServiceError QUEUE_UNAVAILABLE when the queue does not answer */
  ping(): Promise<void>
  /** Starts the work of one process. Close it before `close`. */
  startWorker(parts: WorkerParts): RunningWorker
  close(): Promise<void>
}

/** Connects in the background: a queue that is away shows in `ping`, and keeps nobody from starting. */
export function connectQueues({
  redisUrl,
  database,
  logger,
  prefix = 'circadian',
  lockMs,
}: QueuesOptions): Queues {
  const backend: QueueBackend =
    redisUrl === undefined
      ? createQueueInPostgres({ database, logger, lockMs })
      : createRedisBackend({ url: redisUrl, prefix, logger, lockMs })
  return {
    ping: () => backend.ping(),
    startWorker: (parts) => startWorker({ ...parts, backend, database, logger }),
    close: () => backend.close(),
  }
}
