/** @file The connection pool for the application's own statements, and the session of its connections. */

import type pg from 'pg'
import type { Logger } from 'pino'
import { createThrottle } from '#throttle-log'
import { FairPool } from './fair-pool.ts'

interface PoolSettings {
  readonly connectionString: string
  readonly max: number
  readonly logger: Logger
  /**
   * Whether connections lead to a server, whose roles and poolers have settings of their own. The embedded
   * database has neither, one session for all its clients, and no timer that could end a statement.
   */
  readonly isServer: boolean
}

/** Time after which the server cancels a statement. The client waits longer, so that it sees the reason. */
const STATEMENT_TIMEOUT_MS = 30_000
const CLIENT_TIMEOUT_MS = 35_000
/** Use of a connection, in ms, that is logged when others waited for its end. */
const LONG_USE_MS = 1_000

/**
 * Returns a pool that fails within a bounded time, and in which tenants take turns. Idle connections that break are
 * logged, at most once a minute with their number; without a listener they would end the process. So are long uses of
 * a connection for which others waited, each operation by itself.
 */
export function createPool({ connectionString, max, logger, isServer }: PoolSettings): pg.Pool {
  const throttle = createThrottle()
  const pool = new FairPool({
    connectionString,
    max,
    // Also limits how long a caller waits for a free connection, so it exceeds the length of every
    // transaction here.
    connectionTimeoutMillis: 10_000,
    query_timeout: CLIENT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'circadian',
    ...(isServer && { onConnect: setUpSession }),
    onUsed({ operation, ms }, waiting) {
      if (ms < LONG_USE_MS || waiting === 0) return
      const passed = throttle(operation)
      if (passed === null) return
      const details = { operation, ms: Math.round(ms), waiting, ...passed }
      logger.info(details, 'database connection in use for long while others waited for it')
    },
  })
  // A server that ends takes all idle connections with it: one line stands for them.
  pool.on('error', (error) => {
    const passed = throttle('connection lost')
    if (passed === null) return
    logger.warn({ err: error, connections: (passed.repeated ?? 0) + 1 }, 'idle database connection lost')
  })
  return pool
}

/**
 * Sets what the statements rely on, whatever the role's or the server's own settings are: dates in ISO
 * notation and UTC, a limit on the time of a statement, and the schema of pgvector on the search path.
 *
 * Statements and not startup parameters, because poolers refuse most of those. A pooler that lends its
 * connections for a transaction keeps date style and time zone for each client. It would leak the other
 * settings to other clients, so they are set only on a direct connection: one whose backend has the process
 * id that the client was told.
 */
async function setUpSession(client: pg.ClientBase): Promise<void> {
  const isDirect = `pg_backend_pid() = ${processIdOf(client)}`
  const query = {
    text: `
      set datestyle to 'ISO, YMD';
      set timezone to 'UTC';
      select set_config('statement_timeout', '${STATEMENT_TIMEOUT_MS}', false) where ${isDirect};
      select set_config(
        'search_path',
        concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(nspname)),
        false
      )
      from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
      where extname = 'vector' and nspname <> all(current_schemas(true)) and ${isDirect}`,
    query_timeout: 5_000,
  }
  await client.query(query)
}

/** Returns the process id of the backend that the server named when the connection was opened. */
export function processIdOf(client: pg.ClientBase): number {
  return 'processID' in client && typeof client.processID === 'number' ? client.processID : -1
}
