/** @file The door to the queues: chooses their backend, Redis or the service's own database. */

import type { Logger } from 'pino'
import type { Database } from '#database'
import type { QueueBackend } from './job-queue.ts'
import { createQueueInPostgres } from './postgres-backend.ts'
import { createRedisBackend } from './redis-backend.ts'
import { type RunningWorker, startWorker, type WorkerParts } from './start-worker.ts'

interface QueuesOptions {
  /** If omitted, the queues are in `database`, on BullMQ's PostgreSQL backend. */
  readonly redisUrl?: string | undefined
  readonly database: Database
  readonly logger: Logger
  /** Prefix of every key in Redis. */
  readonly prefix?: string
  /** Lock duration, see `workerOptions`. */
  readonly lockMs?: number
}

export interface Queues {
  /** @throws ServiceError QUEUE_UNAVAILABLE when the queue does not answer */
  ping(): Promise<void>
  /** Starts the worker of this process. The caller closes it before it closes the queues. */
  startWorker(parts: WorkerParts): RunningWorker
  close(): Promise<void>
}

/** Connects in the background: an unavailable queue does not prevent the start; `ping` reports it. */
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
