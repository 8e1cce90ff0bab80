/** @file Queues in Redis. */

import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { coerceError, ServiceError } from '#errors'
import { scheduleConsolidations } from './consolidation-schedule.ts'
import { JOB_OPTIONS, workerOptions } from './contracts.ts'
import type { QueueBackend } from './job-queue.ts'
import { logQueue, logWorker } from './log-events.ts'
import { requeueOnShutdown } from './requeue.ts'

export interface RedisBackendOptions {
  readonly url: string
  /** Of every key; tests take one each. */
  readonly prefix: string
  readonly logger: Logger
  /** As in `workerOptions`. */
  readonly lockMs?: number | undefined
}

export function createRedisBackend({ url, prefix, logger, lockMs }: RedisBackendOptions): QueueBackend {
  const connections: Redis[] = []

  function connect(options: { readonly failFast: boolean }): Redis {
    const connection = new Redis(
      url,
      options.failFast
        ? { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 5_000, connectTimeout: 5_000 }
        : // Workers wait for Redis to come back, however long that takes.
          { maxRetriesPerRequest: null },
    )
    connection.on('error', (error) => logger.debug({ err: error }, 'redis connection error'))
    connections.push(connection)
    return connection
  }

  const producer = connect({ failFast: true })

  return {
    async ping() {
      try {
        await producer.ping()
      } catch (thrown) {
        const error = coerceError(thrown)
        throw new ServiceError('QUEUE_UNAVAILABLE', `ping: expected Redis to answer, got ${error.message}`, {
          cause: error,
        })
      }
    },

    openQueue(name) {
      const queue = new Queue(name, { connection: producer, prefix, defaultJobOptions: JOB_OPTIONS[name] })
      logQueue(queue, logger)
      return {
        isReady: () => producer.status === 'ready',
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
      const connection = connect({ failFast: false })
      const worker = new Worker(name, requeueOnShutdown(process), {
        ...workerOptions(name, lockMs),
        connection,
        prefix,
        concurrency,
      })
      logWorker(worker, logger)
      // Without Redis nothing can be finished: waiting for the jobs in hand would be waiting for Redis.
      return { close: () => worker.close(connection.status !== 'ready') }
    },

    async close() {
      for (const connection of connections) connection.disconnect()
    },
  }
}
