/** @file Opens a Postgres server by its URL; checks its pgvector. */

import pg from 'pg'
import type { Logger } from 'pino'
import { ServiceError } from '#errors'
import { CircuitBreaker, PROBE_TIMEOUT_MS } from './circuit-breaker.ts'
import { createPool, processIdOf } from './create-pool.ts'
import type { Database } from './database.ts'
import { isOlderVersion, MIN_PGVECTOR, MIN_PGVECTOR_FOR_INDEXES } from './pgvector-version.ts'
import { query, transaction } from './query.ts'
import { startError } from './store-error.ts'
import type { TenantWall } from './tenant.ts'

const POOL_SIZE = 10

export interface ServerDatabase extends Database {
  readonly breaker: CircuitBreaker
  readonly wall: TenantWall
}

/** Creates pool and breaker without connecting. */
export function createServerDatabase({
  url,
  logger,
}: {
  readonly url: string
  readonly logger: Logger
}): ServerDatabase {
  const pool = createPool({ connectionString: url, max: POOL_SIZE, logger, isServer: true })
  const breaker = new CircuitBreaker({ probe: () => probe(url), logger })
  pool.on('error', () => breaker.suspect())
  let closing: Promise<void> | undefined
  return {
    kind: 'server',
    pool,
    breaker,
    wall: { isUp: false },
    connectionString: url,
    state: () => breaker.state,
    async check() {
      const { rows } = await query<ReadOnly>({ pool, breaker }, 'check database', READ_ONLY)
      if (rows[0]?.transaction_read_only !== 'on') return breaker.state
      breaker.noteReadOnly(new Error('transaction_read_only is on'))
      return 'read-only'
    },
    close() {
      breaker.close()
      closing ??= pool.end()
      return closing
    },
  }
}

interface ReadOnly {
  readonly transaction_read_only: string
}

/** `on` for a standby too. */
const READ_ONLY = 'show transaction_read_only'

/** Asks on a new connection: it finds the new primary after a failover, and no busy pool delays it. */
async function probe(url: string): Promise<'up' | 'read-only'> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: PROBE_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
    application_name: 'circadian-probe',
  })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<ReadOnly>(READ_ONLY)
    return rows[0]?.transaction_read_only === 'on' ? 'read-only' : 'up'
  } catch (error) {
    // A server that has no connection left is alive.
    if (error instanceof pg.DatabaseError && error.code === '53300') return 'up'
    throw error
  } finally {
    void client.end().catch(() => {})
  }
}

/**
 * Checks that the server has a pgvector that this service can use.
 *
 * @throws ServiceError STORE_UNAVAILABLE when the server cannot be reached, DATABASE_UNSUITABLE when waiting
 * would not help
 */
export async function checkServer({ pool }: Pick<Database, 'pool'>, logger: Logger): Promise<void> {
  try {
    const { rows } = await query<VectorRow>({ pool }, 'open database', VECTOR)
    checkVersion(rows[0]?.version ?? null, logger)
    if (rows[0]?.schema != null && !rows[0].visible) await checkSearchPath(pool, rows[0].schema)
  } catch (thrown) {
    throw startError('open database', thrown)
  }
}

interface VectorRow {
  readonly version: string | null
  readonly schema: string | null
  readonly visible: boolean | null
}

/** Selects the installed version, or else the version that `create extension` would install. */
const VECTOR = `
  select
    coalesce(
      extversion, (select default_version from pg_available_extensions where name = 'vector')
    ) as version,
    nspname as schema,
    nspname = any(current_schemas(true)) as visible
  from (select 'vector' as wanted) as names
  left join pg_extension on extname = wanted
  left join pg_namespace on pg_namespace.oid = extnamespace`

function checkVersion(version: string | null, logger: Logger): void {
  if (version === null || isOlderVersion(version, MIN_PGVECTOR)) {
    throw new ServiceError(
      'DATABASE_UNSUITABLE',
      `open database: expected the extension pgvector ${MIN_PGVECTOR} or newer, got ${version ?? 'none'}; install it on the server`,
    )
  }
  if (isOlderVersion(version, MIN_PGVECTOR_FOR_INDEXES)) {
    logger.warn(
      { version },
      `pgvector is older than ${MIN_PGVECTOR_FOR_INDEXES}, which fixed index corruption: retrieval uses no index and is slow for large tenants; upgrade it`,
    )
  }
}

/** Reports why the schema of pgvector is not on the search path, although each connection asks for it. */
async function checkSearchPath(pool: pg.Pool, schema: string): Promise<never> {
  const isDirect = await transaction({ pool }, 'open database', async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    return rows[0]?.pid === processIdOf(client)
  })
  throw new ServiceError(
    'DATABASE_UNSUITABLE',
    isDirect
      ? `open database: expected USAGE on the schema ${schema} of pgvector, got none; grant it`
      : `open database: expected the schema ${schema} of pgvector on the search path, got a pooler, through which it cannot be set; set it on the role (alter role ... set search_path)`,
  )
}

export async function openServerDatabase(options: {
  readonly url: string
  readonly logger: Logger
}): Promise<ServerDatabase> {
  const database = createServerDatabase(options)
  try {
    await checkServer(database, options.logger)
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}
