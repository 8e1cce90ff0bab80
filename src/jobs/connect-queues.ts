/** @file The door to the queues: chooses their backend, Redis or the service's own database. */

import type { Logger } from 'pino'
import type { Database } from '#database'
import type { ServiceError } from '#errors'
import { throttleLog } from '#throttle-log'
import type { Tracer } from '#tracing'
import { readDeployment } from './deployment.ts'
import type { QueueBackend, RedisConnection } from './job-queue.ts'
import { createQueueInPostgres } from './postgres-backend.ts'
import { createSolutionProcessor, type SolutionParts } from './process-solution.ts'
import { createQueueInRedis } from './redis-backend.ts'
import { createSolutionStore } from './solution-store.ts'
import { type RunningWorker, startWorker, type WorkerParts } from './start-worker.ts'
import { traceJobs } from './trace-jobs.ts'

const STATE_TTL_MS = 5_000
/** Questions that one process answers in the background at once: they share the engine with those that wait. */
const MAX_SOLUTIONS = 8

interface QueuesOptions {
  /** If omitted, the queues are in `database`, on BullMQ's PostgreSQL backend. */
  readonly redisUrl?: string | undefined
  readonly database: Database
  readonly logger: Logger
  /** Prefix of every key in Redis; if omitted, derived from an id of the database. */
  readonly prefix?: string | undefined
  /**
   * Called when a queue cannot be opened for a reason that does not pass, such as a missing right. If omitted,
   * opening is tried for ever.
   */
  readonly onFatal?: (error: ServiceError) => void
  /** Lock duration, see `workerOptions`. */
  readonly lockMs?: number
}

export interface Queues {
  /** Connection for counters; null: there is no Redis. */
  readonly redis: RedisConnection | null
  /** @throws ServiceError QUEUE_UNAVAILABLE when the queue does not answer */
  ping(): Promise<void>
  /** Returns whether the queue answered the last time it was asked; asks again if that was a while ago. */
  isUp(): boolean
  /** Starts the worker of this process. The caller closes it before it closes the queues. */
  startWorker(parts: WorkerParts): RunningWorker
  /**
   * Starts to answer questions in the background; this process has the engine. The caller closes it before it closes
   * the queues: unanswered questions go back to the queue.
   */
  startSolutions(parts: Omit<SolutionParts, 'store'>, tracer: Tracer): RunningWorker
  close(): Promise<void>
}

/** Connects in the background: an unavailable queue does not prevent the start; `ping` reports it. */
export function connectQueues({
  redisUrl,
  database,
  logger,
  prefix,
  onFatal,
  lockMs,
}: QueuesOptions): Queues {
  let isFatal = false
  const parts = {
    log: throttleLog(logger),
    lockMs,
    // All queues and workers fail for the same reason.
    onFatal:
      onFatal &&
      ((error: ServiceError) => {
        if (!isFatal) onFatal(error)
        isFatal = true
      }),
  }
  const backend: QueueBackend =
    redisUrl === undefined
      ? createQueueInPostgres({ ...parts, database })
      : createQueueInRedis({
          ...parts,
          url: redisUrl,
          prefix,
          deployment: remembered(() => readDeployment(database)),
        })
  return {
    redis: backend.redis,
    ping: () => backend.ping(),
    isUp: createWatch(() => backend.ping()),
    startWorker: (parts) => startWorker({ ...parts, backend, database, logger }),
    startSolutions(parts, tracer) {
      const stopping = new AbortController()
      const process = createSolutionProcessor(
        { ...parts, store: createSolutionStore({ database }) },
        stopping.signal,
      )
      const options = { concurrency: MAX_SOLUTIONS }
      const worker = backend.openWorker('solutions', traceJobs(process, tracer), options)
      return {
        close() {
          stopping.abort()
          return worker.close()
        },
      }
    },
    close: () => backend.close(),
  }
}

/**
 * Returns a function that returns the outcome of the last ping without waiting for one, and starts a ping when
 * that was more than 5 s ago. A queue that does not answer for 5 s is down.
 */
function createWatch(ping: () => Promise<void>): () => boolean {
  let isUp = false
  let askedAt = Number.NEGATIVE_INFINITY
  let asking = 0

  function ask(): void {
    askedAt = performance.now()
    if (asking > 0) isUp = false
    asking++
    ping()
      .then(
        () => true,
        () => false,
      )
      .then((answer) => {
        isUp = answer
        asking--
      })
  }

  ask()
  return () => {
    if (performance.now() - askedAt > STATE_TTL_MS) ask()
    return isUp
  }
}

/** Returns a function that asks once; a failed answer is not remembered. */
function remembered<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | null = null
  return () => {
    answer ??= ask().catch((error: unknown) => {
      answer = null
      throw error
    })
    return answer
  }
}
