/** @file The id of a deployment: one database is one deployment. */

import { createHash } from 'node:crypto'
import { type Database, query } from '#database'
import { coerceError } from '#errors'

interface DeploymentRow {
  readonly id: string
  /** Database and server that the row was made for; `server` is empty when its role could not read it. */
  readonly oid: string
  readonly server: string
  /** Database that the row is in. */
  readonly current: string
}

const ROW = `
  select deployment.id::text as id, database_oid::text as oid, server, pg_database.oid::text as current
  from deployment, pg_database where pg_database.datname = current_database()`

/** Changes nothing when another process has moved the row meanwhile. */
const MOVE = `
  update deployment set database_oid = $3::oid, server = $4 where database_oid = $1::oid and server = $2`

/** Not every role and not every hosted PostgreSQL may ask for it. */
const SERVER = 'select system_identifier::text as server from pg_control_system()'
/** insufficient_privilege, undefined_function, feature_not_supported */
const UNKNOWN_SERVER = new Set(['42501', '42883', '0A000'])

/**
 * Returns the id of the deployment, 16 hexadecimal digits, the same for every role. It differs between two
 * databases, also when one is a restored copy of the other: the copy's row still names the other database, so
 * the first process that sees the difference writes the copy's own into it. Only a role that may read the
 * identifier of the server sees that a copy with the same OID is on another server.
 *
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function readDeployment(database: Pick<Database, 'pool'>): Promise<string> {
  const row = await readRow(database)
  const server = await readServer(database)
  const isCopy = row.oid !== row.current || (server !== '' && row.server !== '' && row.server !== server)
  if (!isCopy) return idOf(row)
  await query(database, 'move deployment', MOVE, [row.oid, row.server, row.current, server])
  return idOf(await readRow(database))
}

async function readRow(database: Pick<Database, 'pool'>): Promise<DeploymentRow> {
  const { rows } = await query<DeploymentRow & Record<string, string>>(database, 'read deployment', ROW)
  if (rows[0] === undefined) throw new Error('read deployment: expected a row, got none')
  return rows[0]
}

/** Returns the identifier of the server; empty when it cannot be read. */
async function readServer(database: Pick<Database, 'pool'>): Promise<string> {
  try {
    const { rows } = await query<{ server: string }>(database, 'read deployment', SERVER)
    return rows[0]?.server ?? ''
  } catch (thrown) {
    const error = coerceError(thrown)
    if ('code' in error && UNKNOWN_SERVER.has(String(error.code))) return ''
    throw error
  }
}

function idOf({ id, oid, server }: DeploymentRow): string {
  return createHash('sha256').update([id, oid, server].join(' ')).digest('hex').slice(0, 16)
}
