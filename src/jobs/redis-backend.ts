/** @file Queues in Redis. */

import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { coerceError, ServiceError } from '#errors'
import { logWorkerEvents, toBullProcessor, toJobQueue } from './bullmq.ts'
import { JOB_OPTIONS, workerOptions } from './contracts.ts'
import type { QueueBackend } from './job-queue.ts'

export interface RedisBackendOptions {
  readonly url: string
  /** Prefix of every key; each test uses its own. */
  readonly prefix: string
  readonly logger: Logger
  /** Lock duration, see `workerOptions`. */
  readonly lockMs?: number | undefined
}

export function createRedisBackend({ url, prefix, logger, lockMs }: RedisBackendOptions): QueueBackend {
  const connections: Redis[] = []

  function connect(options: { readonly failFast: boolean }): Redis {
    const connection = new Redis(
      url,
      options.failFast
        ? { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 5_000, connectTimeout: 5_000 }
        : // Workers wait for Redis without a limit.
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
      const options = { connection: producer, prefix, defaultJobOptions: JOB_OPTIONS[name] }
      return toJobQueue(new Queue(name, options), () => producer.status === 'ready', logger)
    },

    openWorker(name, process, { concurrency }) {
      const connection = connect({ failFast: false })
      const worker = new Worker(name, toBullProcessor(process), {
        ...workerOptions(name, lockMs),
        connection,
        prefix,
        concurrency,
      })
      logWorkerEvents(worker, logger)
      // Without Redis no job can be finished, so the worker closes without waiting for its jobs.
      return { close: () => worker.close(connection.status !== 'ready') }
    },

    async close() {
      for (const connection of connections) connection.disconnect()
    },
  }
}
