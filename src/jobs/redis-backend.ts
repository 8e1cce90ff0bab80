/** @file Queues in Redis. */

import { createRedisBackend, Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { coerceError, ServiceError } from '#errors'
import type { ThrottledLog } from '#throttle-log'
import {
  type BackendTraits,
  logQueueError,
  type OpenQueue,
  openQueue,
  openWorker,
  PacedWorker,
  toBullProcessor,
} from './bullmq.ts'
import { JOB_OPTIONS, type NewJob, type QueueName, workerOptions } from './contracts.ts'
import type { JobProcessor, QueueBackend } from './job-queue.ts'
import { toJobError } from './retry.ts'

export interface RedisBackendOptions {
  readonly url: string
  /** Prefix of every key; if omitted, derived from `deployment`. */
  readonly prefix?: string | undefined
  /** Returns the id of the database, which no other deployment has. */
  readonly deployment: () => Promise<string>
  readonly log: ThrottledLog
  readonly onFatal?: ((error: ServiceError) => void) | undefined
  /** Lock duration, see `workerOptions`. */
  readonly lockMs?: number | undefined
}

export function createQueueInRedis({
  url,
  prefix,
  deployment,
  log,
  onFatal,
  lockMs,
}: RedisBackendOptions): QueueBackend {
  const traits: BackendTraits = { log, onFatal, finalError }
  const connections: Redis[] = []
  const queues = new Map<QueueName, OpenQueue>()

  function connect(options: { readonly failFast: boolean }): Redis {
    const connection = new Redis(
      url,
      options.failFast
        ? { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 5_000, connectTimeout: 5_000 }
        : // Workers wait for Redis without a limit.
          { maxRetriesPerRequest: null },
    )
    let hasConnected = false
    connection.once('ready', () => {
      hasConnected = true
    })
    connection.on('error', (error) => {
      logQueueError(log, undefined, error)
      // A refused password or database is known here only: ioredis goes on connecting. Once jobs may run, it may.
      const final = finalError(error)
      if (final !== null && !hasConnected) onFatal?.(final)
    })
    connections.push(connection)
    return connection
  }

  const producer = connect({ failFast: true })

  function shared(name: QueueName): OpenQueue {
    const queue = queues.get(name) ?? open(name)
    queues.set(name, queue)
    return queue
  }

  function open(name: QueueName): OpenQueue {
    const create = async () => {
      const options = {
        connection: producer,
        prefix: keyPrefix(prefix, await deployment()),
        defaultJobOptions: JOB_OPTIONS[name],
      }
      return new Queue(name, options)
    }
    const queue = openQueue({ create, isConnected: () => producer.status === 'ready' }, traits)
    return { ...queue, add: async (jobs) => queue.add(stamp(jobs, await deployment())) }
  }

  return {
    redis: { client: producer, keyPrefix: async () => keyPrefix(prefix, await deployment()) },

    async ping() {
      try {
        // A write: a Redis whose memory or disk is full, or a replica, answers and takes no jobs.
        const own = await deployment().catch(() => null)
        if (own === null) await producer.ping()
        else await producer.set(`${keyPrefix(prefix, own)}:ping`, '1', 'EX', 60)
      } catch (thrown) {
        const error = coerceError(thrown)
        throw new ServiceError(
          'QUEUE_UNAVAILABLE',
          `ping: expected Redis to accept writes, got ${error.message}`,
          {
            cause: error,
          },
        )
      }
      // A process without jobs of its own opens no queue.
      await Promise.all([...queues.values()].map((queue) => queue.ping()))
    },

    openQueue: shared,

    openWorker(name, process, { concurrency }) {
      const connection = connect({ failFast: false })
      const create = async () => {
        const own = await deployment()
        const options = {
          ...workerOptions(name, lockMs),
          connection,
          prefix: keyPrefix(prefix, own),
          concurrency,
          autorun: false,
        }
        const processor = toBullProcessor(refusingOthers(process, own))
        return new PacedWorker(name, processor, options, createRedisBackend)
      }
      return openWorker({ create, mayWait: () => connection.status === 'ready' }, traits)
    },

    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()))
      for (const connection of connections) connection.disconnect()
    },
  }
}

/**
 * Returns the prefix of all keys. The braces are a hash tag: Redis Cluster keeps all keys of a prefix on one
 * node, as the scripts of BullMQ need it.
 */
function keyPrefix(given: string | undefined, deployment: string): string {
  const prefix = given ?? `circadian-${deployment}`
  return prefix.includes('{') ? prefix : `{${prefix}}`
}

function stamp(jobs: readonly NewJob[], deployment: string): NewJob[] {
  return jobs.map((job) => ({ ...job, payload: { ...(job.payload as object), deployment } }))
}

/**
 * Fails the jobs of other deployments, which share `REDIS_PREFIX` by mistake. Their episodes are not in this
 * database, so that such a job would otherwise end as that of a deleted episode.
 */
function refusingOthers(process: JobProcessor, own: string): JobProcessor {
  return async (job) => {
    const { data } = job
    const owner = typeof data === 'object' && data !== null && 'deployment' in data ? data.deployment : own
    if (owner === own) return process(job)
    throw toJobError(
      new ServiceError(
        'CONFIG_INVALID',
        `job ${job.id}: expected a job of deployment ${own}, got one of ${owner}: set another REDIS_PREFIX`,
      ),
    )
  }
}

/** Errors of Redis that do not pass by themselves, and what to do. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/^(NOAUTH|WRONGPASS|NOPERM)/, 'check user, password and rights in REDIS_URL'],
  [/DB index is out of range/, 'check the database number in REDIS_URL'],
  [/SELECT is not allowed in cluster mode/, 'leave the database number out of REDIS_URL'],
  [/^Redis version needs to be/, 'upgrade Redis'],
]

function finalError(error: Error): ServiceError | null {
  const [, remedy] = REMEDIES.find(([pattern]) => pattern.test(error.message)) ?? []
  if (remedy === undefined) return null
  return new ServiceError(
    'QUEUE_UNAVAILABLE',
    `open queue: expected a queue in Redis, got ${error.message}: ${remedy}`,
    { cause: error },
  )
}
