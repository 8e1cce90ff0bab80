/** @file The id of a deployment: one database is one deployment. */

import { createHash } from 'node:crypto'
import { type Database, query } from '#database'
import { coerceError } from '#errors'

const ROW = `
  select deployment.id::text as id, pg_database.oid::text as oid
  from deployment, pg_database where pg_database.datname = current_database()`

/** Not every role and not every hosted PostgreSQL may ask for it. */
const SYSTEM = 'select system_identifier::text as system from pg_control_system()'
/** insufficient_privilege, undefined_function */
const UNKNOWN_SYSTEM = new Set(['42501', '42883'])

/**
 * Returns the id of the deployment, 16 hexadecimal digits. It differs between two databases, also when one is
 * a restored copy of the other: the row is the same then, database and server are not.
 *
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function readDeployment(database: Pick<Database, 'pool'>): Promise<string> {
  const { rows } = await query<{ id: string; oid: string }>(database, 'read deployment', ROW)
  const parts = [rows[0]?.id, rows[0]?.oid, await systemOf(database)]
  return createHash('sha256').update(parts.join(' ')).digest('hex').slice(0, 16)
}

async function systemOf(database: Pick<Database, 'pool'>): Promise<string> {
  try {
    const { rows } = await query<{ system: string }>(database, 'read deployment', SYSTEM)
    return rows[0]?.system ?? ''
  } catch (thrown) {
    const error = coerceError(thrown)
    if ('code' in error && UNKNOWN_SYSTEM.has(String(error.code))) return ''
    throw error
  }
}
