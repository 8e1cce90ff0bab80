/** @file The record of calls of operators and of deletions, in Postgres. */

import { type Database, query } from '#database'

/** One call. */
interface AuditEntry {
  readonly tenantId: string
  /** null: a caller without a key. */
  readonly keyId: string | null
  /** Address of the caller. */
  readonly caller: string
  /** Id of the operation in the contract. */
  readonly action: string
  /** Id or path of what the call was about; null: everything of a kind. */
  readonly target: string | null
  /** Whether an activation was forced; null for other calls. */
  readonly force: boolean | null
  readonly status: number
  readonly requestId: string
}

interface AuditRecord extends AuditEntry {
  readonly id: string
  readonly at: string
}

/** @throws ServiceError STORE_UNAVAILABLE from every method */
export interface AuditStore {
  record(entry: AuditEntry): Promise<void>
  /** Returns calls of all tenants, newest first. @param before id after which the page begins; null: the newest */
  list(page: { readonly limit: number; readonly before: string | null }): Promise<readonly AuditRecord[]>
}

const RECORD = `
  insert into audit_log (tenant_id, key_id, caller, action, target, force, status, request_id)
  values ($1, $2, $3, $4, $5, $6, $7, $8)`

const LIST = `
  select id::text, at, tenant_id as "tenantId", key_id as "keyId", caller, action, target, force, status,
    request_id as "requestId"
  from audit_log where $2::bigint is null or id < $2::bigint order by id desc limit $1`

export function createAuditStore({ database }: { readonly database: Pick<Database, 'pool'> }): AuditStore {
  return {
    async record({ tenantId, keyId, caller, action, target, force, status, requestId }) {
      const values = [tenantId, keyId, caller, action, target, force, status, requestId]
      await query(database, 'record call', RECORD, values)
    },
    async list({ limit, before }) {
      type Row = Omit<AuditRecord, 'at'> & { readonly at: Date }
      const { rows } = await query<Row>(database, 'list calls', LIST, [limit, before])
      return rows.map((row) => ({ ...row, at: row.at.toISOString() }))
    },
  }
}
