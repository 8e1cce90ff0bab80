/** @file Queues in the service's own database, on BullMQ's PostgreSQL backend. */

import { createPostgresBackend, Queue, Worker } from 'bullmq'
import type { Logger } from 'pino'
import { type Database, query } from '#database'
import { coerceError, ServiceError } from '#errors'
import { logWorkerEvents, toBullProcessor, toJobQueue } from './bullmq.ts'
import { JOB_OPTIONS, workerOptions } from './contracts.ts'
import type { QueueBackend } from './job-queue.ts'

/** Schema in the search path of the embedded database, whose clients cannot set a search path. */
const SCHEMA = 'bullmq'

export interface PostgresBackendOptions {
  readonly database: Database
  readonly logger: Logger
  /** Lock duration, see `workerOptions`. */
  readonly lockMs?: number | undefined
}

export function createQueueInPostgres({ database, logger, lockMs }: PostgresBackendOptions): QueueBackend {
  const connection = {
    connectionString: database.connectionString,
    schema: SCHEMA,
    migrate: true,
    max: database.kind === 'embedded' ? 1 : 4,
  }

  return {
    async ping() {
      try {
        await query(database, 'ping', 'select 1')
      } catch (thrown) {
        const error = coerceError(thrown)
        throw new ServiceError('QUEUE_UNAVAILABLE', error.message, { cause: error })
      }
    },

    openQueue(name) {
      const options = { connection, defaultJobOptions: JOB_OPTIONS[name] }
      return toJobQueue(new Queue(name, options, createPostgresBackend), () => true, logger)
    },

    openWorker(name, process, { concurrency }) {
      const worker = new Worker(
        name,
        toBullProcessor(process),
        // Polls four times a second: a lost notification delays a job by 0.25 s at most.
        { ...workerOptions(name, lockMs), connection, concurrency, drainDelay: 0.25 },
        createPostgresBackend,
      )
      logWorkerEvents(worker, logger)
      return { close: () => worker.close() }
    },

    async close() {},
  }
}
