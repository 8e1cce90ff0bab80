/** @file Queues in the service's own database, on BullMQ's PostgreSQL backend. */

import { createPostgresBackend, Queue } from 'bullmq'
import type { Database } from '#database'
import { ServiceError } from '#errors'
import { kindOf, type ThrottledLog } from '#throttle-log'
import {
  type BackendTraits,
  type OpenQueue,
  openQueue,
  openWorker,
  PacedWorker,
  toBullProcessor,
} from './bullmq.ts'
import { JOB_OPTIONS, type QueueName, workerOptions } from './contracts.ts'
import type { QueueBackend } from './job-queue.ts'

/** Schema in the search path of the embedded database, whose clients cannot set a search path. */
const SCHEMA = 'bullmq'

export interface PostgresBackendOptions {
  readonly database: Pick<Database, 'kind' | 'connectionString'>
  readonly log: ThrottledLog
  readonly onFatal?: ((error: ServiceError) => void) | undefined
  /** Lock duration, see `workerOptions`. */
  readonly lockMs?: number | undefined
}

export function createQueueInPostgres({
  database,
  log,
  onFatal,
  lockMs,
}: PostgresBackendOptions): QueueBackend {
  const connection = {
    connectionString: database.connectionString,
    schema: SCHEMA,
    migrate: true,
    max: database.kind === 'embedded' ? 1 : 4,
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
    keepAlive: true,
  }
  const traits: BackendTraits = { log, onFatal, finalError }
  const queues = new Map<QueueName, OpenQueue>()

  function shared(name: QueueName): OpenQueue {
    const queue = queues.get(name) ?? open(name)
    queues.set(name, queue)
    return queue
  }

  function open(name: QueueName): OpenQueue {
    const options = { connection, defaultJobOptions: JOB_OPTIONS[name] }
    const create = async () => new Queue(name, options, createPostgresBackend)
    return openQueue({ create, isConnected: () => true }, traits)
  }

  return {
    redis: null,

    ping: () => shared('episodes').ping(),

    openQueue: shared,

    openWorker(name, process, { concurrency }) {
      const options = {
        ...workerOptions(name, lockMs),
        connection,
        concurrency,
        autorun: false,
        // Polls four times a second: a lost notification delays a job by 0.25 s at most.
        drainDelay: 0.25,
      }
      const create = async () =>
        new PacedWorker(name, toBullProcessor(process), options, createPostgresBackend)
      return openWorker({ create, mayWait: () => true }, traits)
    },

    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()))
    },
  }
}

const DIRECT =
  'a direct connection to PostgreSQL for the queue, or a pooler in session mode; set REDIS_URL, or point DATABASE_URL of the worker at the server itself'

/**
 * Requirement that an error shows to be unmet, with what to do, by the error's SQLSTATE or name. None of them
 * passes by itself. The queue is tried and not asked about, because poolers do not name themselves and differ
 * in what they refuse.
 */
const REQUIREMENTS: Readonly<Record<string, string>> = {
  // insufficient_privilege
  '42501': `CREATE on the database, for the schema ${SCHEMA}; grant it, or set REDIS_URL`,
  // protocol_violation: PgBouncer refuses the search path as a startup parameter.
  '08P01': DIRECT,
  // undefined_function, undefined_table, invalid_schema_name: a pooler has dropped the search path.
  '42883': DIRECT,
  '42P01': DIRECT,
  '3F000': DIRECT,
  SchemaVersionMismatchError: 'a queue of this release; a newer release has migrated it: start that release',
  UnsupportedPostgresVersionError: 'a newer PostgreSQL; upgrade it, or set REDIS_URL',
}

function finalError(error: Error): ServiceError | null {
  const required = REQUIREMENTS[kindOf(error)] ?? REQUIREMENTS[error.name]
  if (required === undefined) return null
  return new ServiceError('DATABASE_UNSUITABLE', `open queue: expected ${required}, got ${error.message}`, {
    cause: error,
  })
}
