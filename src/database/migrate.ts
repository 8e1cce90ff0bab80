/** @file Forward-only SQL migrations. */

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pool } from 'pg'
import { coerceError, ServiceError } from '#errors'
import { query, transaction } from './query.ts'
import { startError } from './store-error.ts'

interface Migration {
  readonly number: number
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

interface LedgerRow {
  readonly number: number
  /** null: applied by a release without checksums. */
  readonly checksum: string | null
}

/** Errors of a session that creates a table at the same moment as another one, in place of "it exists". */
const CREATED_MEANWHILE = new Set(['23505', '42P07', '42701', '42710'])

/**
 * The ledger has its columns from here and not from a migration, because it must be readable before the
 * first one.
 */
const LEDGER = [
  `create table if not exists schema_migrations (
    number integer primary key,
    name text not null,
    applied_at timestamptz not null default now()
  )`,
  'alter table schema_migrations add column if not exists checksum text',
]

/** Asked before the ledger is changed: a role without the right to do so can still start. */
const IS_LEDGER_COMPLETE = `
  select exists (
    select from pg_attribute
    where attrelid = to_regclass('schema_migrations') and attname = 'checksum' and not attisdropped
  ) as complete`

/** A migration may take as long as it must, unlike the statements of requests. */
const MIGRATION_TIMEOUT_MS = 24 * 3_600_000

/**
 * Applies every newer `NNNN_name.sql` of `directory`, each file in a transaction of its own. Safe to run
 * from many processes at once: the process that first inserts a migration's number runs it; the others wait
 * on that number's key and then skip it. Advisory locks would not do: on the embedded database all clients
 * share one backend, so such a lock excludes no client.
 *
 * The ledger keeps a checksum of every applied file; rows of a release without checksums get theirs.
 *
 * @returns the numbers that this call applied
 * @throws ServiceError SCHEMA_TOO_NEW when the database has a number that `directory` lacks;
 * SCHEMA_CHANGED when an applied file has changed since; DATABASE_UNSUITABLE when the role lacks a right;
 * STORE_UNAVAILABLE
 */
export async function migrate(pool: Pool, directory: string): Promise<readonly number[]> {
  const migrations = await readMigrations(directory)
  try {
    return await applyAll(pool, migrations)
  } catch (error) {
    throw startError('migrate', error)
  }
}

async function applyAll(pool: Pool, migrations: readonly Migration[]): Promise<readonly number[]> {
  await createLedger(pool)
  const newest = migrations.at(-1)?.number ?? 0
  const { rows } = await query<LedgerRow>(
    { pool },
    'migrate',
    'select number, checksum from schema_migrations order by number',
  )
  const current = rows.at(-1)?.number ?? 0
  if (current > newest) {
    throw new ServiceError(
      'SCHEMA_TOO_NEW',
      `migrate: expected a schema of at most ${newest}, got ${current}: a newer release has migrated this database`,
    )
  }
  await compareChecksums(pool, migrations, rows)
  const applied: number[] = []
  for (const migration of migrations) {
    if (migration.number > current && (await apply(pool, migration))) applied.push(migration.number)
  }
  return applied
}

async function compareChecksums(
  pool: Pool,
  migrations: readonly Migration[],
  rows: readonly LedgerRow[],
): Promise<void> {
  const ledger = new Map(rows.map(({ number, checksum }) => [number, checksum]))
  for (const { number, name, checksum } of migrations) {
    const recorded = ledger.get(number)
    if (recorded === undefined || recorded === checksum) continue
    if (recorded !== null) {
      throw new ServiceError(
        'SCHEMA_CHANGED',
        `migrate: expected ${name} as this database applied it (checksum ${recorded.slice(0, 12)}), got other statements (${checksum.slice(0, 12)})`,
      )
    }
    const values = [number, checksum]
    const sql = 'update schema_migrations set checksum = $2 where number = $1 and checksum is null'
    await query({ pool }, 'migrate', sql, values)
  }
}

async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const migrations: Migration[] = []
  for (const name of (await readdir(directory)).sort()) {
    const match = /^(\d{4})_[a-z0-9_]+\.sql$/.exec(name)
    if (match === null) continue
    const sql = await readFile(join(directory, name), 'utf8')
    migrations.push({ number: Number(match[1]), name, sql, checksum: checksumOf(sql) })
  }
  // Numbers may have gaps: branches number their migrations apart.
  const misplaced = migrations.find(({ number }, index) => number === migrations[index - 1]?.number)
  if (misplaced !== undefined || migrations.length === 0) {
    throw new ServiceError(
      'INTERNAL',
      `migrate: expected files 0001_name.sql, 0002_name.sql, ... in ${directory}, each with its own number, got ${misplaced?.name ?? 'none'}`,
    )
  }
  return migrations
}

/** Returns the SHA-256 of the statements: lines of comments, blank lines and line endings do not count. */
function checksumOf(sql: string): string {
  const lines = sql.split(/\r?\n/).filter((line) => !/^\s*(--|$)/.test(line))
  return createHash('sha256').update(lines.join('\n')).digest('hex')
}

async function createLedger(pool: Pool): Promise<void> {
  const { rows } = await query<{ complete: boolean }>({ pool }, 'migrate', IS_LEDGER_COMPLETE)
  if (rows[0]?.complete) return
  for (const sql of LEDGER) {
    try {
      await query({ pool }, 'migrate', sql)
    } catch (thrown) {
      const error = coerceError(thrown)
      if (!('code' in error && CREATED_MEANWHILE.has(String(error.code)))) throw error
    }
  }
}

async function apply(pool: Pool, { number, name, sql, checksum }: Migration): Promise<boolean> {
  return transaction({ pool }, `migrate ${name}`, async (client) => {
    await client.query('set local statement_timeout = 0')
    const claim = {
      text: 'insert into schema_migrations (number, name, checksum) values ($1, $2, $3) on conflict do nothing',
      values: [number, name, checksum],
      query_timeout: MIGRATION_TIMEOUT_MS,
    }
    if ((await client.query(claim)).rowCount === 0) return false
    const statements = { text: sql, query_timeout: MIGRATION_TIMEOUT_MS }
    await client.query(statements)
    return true
  })
}
