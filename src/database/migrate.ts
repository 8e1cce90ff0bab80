/** @file Forward-only SQL migrations. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pool } from 'pg'
import { coerceError, ServiceError } from '#errors'
import { query, transaction } from './query.ts'

interface Migration {
  readonly number: number
  readonly name: string
}

/** Errors of a session that creates a table at the same moment as another one, in place of "it exists". */
const CREATED_MEANWHILE = new Set(['23505', '42P07', '42710'])

/**
 * Applies every newer `NNNN_name.sql` of `directory`, each file in a transaction of its own. Safe to run
 * from many processes at once: the process that first inserts a migration's number runs it; the others wait
 * on that number's key and then skip it. Advisory locks would not do: on the embedded database all clients
 * share one backend, so such a lock excludes no client.
 *
 * @returns the numbers that this call applied
 * @throws ServiceError SCHEMA_TOO_NEW when the database has a number that `directory` lacks;
 * STORE_UNAVAILABLE
 */
export async function migrate(pool: Pool, directory: string): Promise<readonly number[]> {
  const migrations = await readMigrations(directory)
  await createLedger(pool)
  const newest = migrations.at(-1)?.number ?? 0
  const { rows } = await query<{ number: number }>(
    { pool },
    'migrate',
    'select coalesce(max(number), 0) as number from schema_migrations',
  )
  const current = rows[0]?.number ?? 0
  if (current > newest) {
    throw new ServiceError(
      'SCHEMA_TOO_NEW',
      `migrate: expected a schema of at most ${newest}, got ${current}: a newer release has migrated this database`,
    )
  }
  const applied: number[] = []
  for (const migration of migrations) {
    if (migration.number > current && (await apply(pool, directory, migration)))
      applied.push(migration.number)
  }
  return applied
}

async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const migrations: Migration[] = []
  for (const name of (await readdir(directory)).sort()) {
    const match = /^(\d{4})_[a-z0-9_]+\.sql$/.exec(name)
    if (match) migrations.push({ number: Number(match[1]), name })
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

async function createLedger(pool: Pool): Promise<void> {
  const sql = `
    create table if not exists schema_migrations (
      number integer primary key,
      name text not null,
      applied_at timestamptz not null default now()
    )`
  try {
    await query({ pool }, 'migrate', sql)
  } catch (thrown) {
    const error = coerceError(thrown)
    if (!('code' in error && CREATED_MEANWHILE.has(String(error.code)))) throw error
  }
}

async function apply(pool: Pool, directory: string, { number, name }: Migration): Promise<boolean> {
  const sql = await readFile(join(directory, name), 'utf8')
  return transaction({ pool }, `migrate ${name}`, async (client) => {
    const claim = await client.query(
      'insert into schema_migrations (number, name) values ($1, $2) on conflict do nothing',
      [number, name],
    )
    if (claim.rowCount === 0) return false
    await client.query(sql)
    return true
  })
}
