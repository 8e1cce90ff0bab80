/** @file The pool that the app's own statements run through. */

import pg from 'pg'
import type { Logger } from 'pino'

interface PoolSettings {
  readonly connectionString: string
  readonly max: number
  readonly logger: Logger
}

/** A pool that fails in bounded time and whose idle connections may break without ending the process. */
export function createPool({ connectionString, max, logger }: PoolSettings): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    // Also how long a caller waits for a free connection: longer than any of our transactions.
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
    keepAlive: true,
    application_name: 'circadian',
  })
  pool.on('error', (error) => logger.warn({ err: error }, 'idle database connection lost'))
  return pool
}
