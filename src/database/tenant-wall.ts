/**
 * @file Row-level security for requests of callers: their transactions take a role that no owner's right exempts, and
 * name their tenant. Only on a server: the embedded database has one session for all its clients.
 */

import pg from 'pg'
import type { Logger } from 'pino'
import { coerceError } from '#errors'
import { query, transaction } from './query.ts'
import { TENANT_ROLE as ROLE, type TenantWall } from './tenant.ts'

const STATE = `
  select
    exists (select from pg_roles where rolname = '${ROLE}') as "exists",
    coalesce(
      (select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = '${ROLE}'), false
    ) as "isMember"`

/** Schemas and tables on which the role lacks rights. Grants that are there already are not repeated. */
const MISSING = `
  select format('usage on schema %I', nspname) as missing
  from pg_namespace
  where (nspname = current_schema() or oid = (select extnamespace from pg_extension where extname = 'vector'))
    and not has_schema_privilege('${ROLE}', oid, 'usage')
  union all
  select format('select, insert, update, delete on %I.%I', current_schema(), relname)
  from pg_class
  where relnamespace = current_schema()::regnamespace and relkind = 'r' and not (
    has_table_privilege('${ROLE}', oid, 'select') and has_table_privilege('${ROLE}', oid, 'insert')
    and has_table_privilege('${ROLE}', oid, 'update') and has_table_privilege('${ROLE}', oid, 'delete')
  )`

/** Errors of a process that does the same at the same moment; its work is done then, or can be done again. */
const DONE_MEANWHILE = new Set(['42710', '23505', 'XX000'])
const MAX_ATTEMPTS = 3

/**
 * Creates the role, grants it what callers need, and tries it. Where the role of the service may not do so, an
 * administrator can (docs/operations.md); until then, the statements alone separate tenants.
 *
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function openTenantWall(pool: pg.Pool, wall: TenantWall, logger: Logger): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await prepareRole(pool)
      await transaction({ pool }, 'try role', async (client) => {
        await client.query(`set local role ${ROLE}`)
        await client.query('select from episodes limit 0')
      })
      wall.isUp = true
      return
    } catch (thrown) {
      const error = coerceError(thrown)
      if (!(error instanceof pg.DatabaseError)) throw error
      if (attempt < MAX_ATTEMPTS && DONE_MEANWHILE.has(error.code ?? '')) continue
      logger.info({ err: error }, `role ${ROLE} cannot be used: no row-level security for callers`)
      return
    }
  }
}

async function prepareRole(pool: pg.Pool): Promise<void> {
  const { rows } = await query<{ exists: boolean; isMember: boolean }>({ pool }, 'find role', STATE)
  if (!rows[0]?.exists) await query({ pool }, 'create role', `create role ${ROLE} nologin`)
  if (!rows[0]?.isMember) await query({ pool }, 'grant role', `grant ${ROLE} to current_user`)
  const { rows: grants } = await query<{ missing: string }>({ pool }, 'find rights', MISSING)
  for (const { missing } of grants) await query({ pool }, 'grant rights', `grant ${missing} to ${ROLE}`)
}
