/** @file Queues in the instance's own database, on BullMQ's Postgres backend. */

import { createPostgresBackend, Queue, Worker } from 'bullmq'
import type { Logger } from 'pino'
import { type Database, query } from '#database'
import { coerceError, ServiceError } from '#errors'
import { scheduleConsolidations } from './consolidation-schedule.ts'
import { JOB_OPTIONS, workerOptions } from './contracts.ts'
import type { QueueBackend } from './job-queue.ts'
import { logQueue, logWorker } from './log-events.ts'
import { requeueOnShutdown } from './requeue.ts'

/** The embedded database's search path names it, because a client there cannot set one of its own. */
const SCHEMA = 'bullmq'

export interface PostgresBackendOptions {
  readonly database: Database
  readonly logger: Logger
  /** As in `workerOptions`. */
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
      const queue = new Queue(
        name,
        { connection, defaultJobOptions: JOB_OPTIONS[name] },
        createPostgresBackend,
      )
      logQueue(queue, logger)
      return {
        isReady: () => true,
        async add(jobs) {
          await queue.addBulk(
            jobs.map(({ id, name, payload }) => ({ name, data: payload, opts: { jobId: id } })),
          )
        },
        scheduleConsolidations: (cron) => scheduleConsolidations(queue, cron),
        close: () => queue.close(),
      }
    },

    openWorker(name, process, { concurrency }) {
      const worker = new Worker(
        name,
        requeueOnShutdown(process),
        // Looks for itself four times a second: a notification may be lost, and must then cost no more than that.
        { ...workerOptions(name, lockMs), connection, concurrency, drainDelay: 0.25 },
        createPostgresBackend,
      )
      logWorker(worker, logger)
      return { close: () => worker.close() }
    },

    async close() {},
  }
}
