/** @file The connection pool for the application's own statements. */

import pg from 'pg'
import type { Logger } from 'pino'

interface PoolSettings {
  readonly connectionString: string
  readonly max: number
  readonly logger: Logger
}

/**
 * Returns a pool that fails within a bounded time. An idle connection that breaks is logged; without a
 * listener it would end the process.
 */
export function createPool({ connectionString, max, logger }: PoolSettings): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    // Also limits how long a caller waits for a free connection, so it exceeds the length of every
    // transaction here.
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
    keepAlive: true,
    application_name: 'circadian',
  })
  pool.on('error', (error) => logger.warn({ err: error }, 'idle database connection lost'))
  return pool
}
