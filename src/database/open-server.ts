/** @file Opens a Postgres server by its URL, after a check of its pgvector version. */

import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { ServiceError } from '#errors'
import { createPool } from './create-pool.ts'
import type { Database } from './database.ts'
import { isOlderVersion, MIN_PGVECTOR, MIN_PGVECTOR_FOR_INDEXES } from './pgvector-version.ts'
import { query } from './query.ts'

const POOL_SIZE = 10

export async function openServerDatabase({
  url,
  logger,
}: {
  url: string
  logger: Logger
}): Promise<Database> {
  const pool = createPool({ connectionString: url, max: POOL_SIZE, logger })
  try {
    await checkPgvector(pool, logger)
  } catch (error) {
    await pool.end()
    throw error
  }
  let closing: Promise<void> | undefined
  return {
    kind: 'server',
    pool,
    connectionString: url,
    close: () => {
      closing ??= pool.end()
      return closing
    },
  }
}

/** Selects the installed version, or else the version that `create extension` would install. */
const PGVECTOR_VERSION = `
  select coalesce(
    (select extversion from pg_extension where extname = 'vector'),
    (select default_version from pg_available_extensions where name = 'vector')
  ) as version`

async function checkPgvector(pool: Pool, logger: Logger): Promise<void> {
  const { rows } = await query<{ version: string | null }>({ pool }, 'open database', PGVECTOR_VERSION)
  const version = rows[0]?.version ?? null
  if (version === null || isOlderVersion(version, MIN_PGVECTOR)) {
    throw new ServiceError(
      'STORE_UNAVAILABLE',
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
