/** @file Checks that a database can hold the queue. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import pg from 'pg'
import { ServiceError } from '#errors'
import type { Database } from './database.ts'
import { query } from './query.ts'
import { startError } from './store-error.ts'

const SCHEMA = 'bullmq'
const NOTIFICATION_TIMEOUT_MS = 3_000

const POOLER =
  'queue: expected a direct connection to PostgreSQL for the queue, got a pooler that lends its connections for a transaction; set REDIS_URL, or point DATABASE_URL of the worker at the server itself'

/**
 * Checks that the queue can be kept in the database: it needs a session of its own, for its search path and
 * for notifications, and a schema of its own. Does what the queue will do, because poolers do not name
 * themselves and differ in what they refuse.
 *
 * @throws ServiceError DATABASE_UNSUITABLE; STORE_UNAVAILABLE
 */
export async function checkQueueConnection(database: Database): Promise<void> {
  const client = new pg.Client({
    connectionString: database.connectionString,
    options: `-c search_path=${SCHEMA}`,
    connectionTimeoutMillis: 10_000,
    query_timeout: 10_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    await expectSession(database, client)
    await expectSchema(client)
  } catch (thrown) {
    // PgBouncer's answer to `options`, which is a protocol violation by its SQLSTATE.
    const isRefused = thrown instanceof pg.DatabaseError && thrown.code === '08P01'
    throw isRefused
      ? new ServiceError('DATABASE_UNSUITABLE', POOLER, { cause: thrown })
      : startError('queue', thrown)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Expects that the search path holds, and that a notification of another connection arrives. */
async function expectSession(database: Database, client: pg.Client): Promise<void> {
  const channel = `circadian_${randomBytes(8).toString('hex')}`
  await client.query(`listen ${channel}`)
  const { rows } = await client.query<{ path: string }>("select current_setting('search_path') as path")
  const notified = once(client, 'notification', {
    signal: AbortSignal.timeout(NOTIFICATION_TIMEOUT_MS),
  }).then(
    () => true,
    () => false,
  )
  await query({ pool: database.pool }, 'queue', 'select pg_notify($1, $2)', [channel, ''])
  if (rows[0]?.path !== SCHEMA || !(await notified)) throw new ServiceError('DATABASE_UNSUITABLE', POOLER)
}

async function expectSchema(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ allowed: boolean }>(
    `select has_database_privilege(current_database(), 'CREATE') or exists (
      select from pg_namespace where nspname = $1 and has_schema_privilege(oid, 'CREATE')
    ) as allowed`,
    [SCHEMA],
  )
  if (rows[0]?.allowed) return
  throw new ServiceError(
    'DATABASE_UNSUITABLE',
    `queue: expected CREATE on the database or on its schema ${SCHEMA}, got a role without it; grant it, or set REDIS_URL`,
  )
}
