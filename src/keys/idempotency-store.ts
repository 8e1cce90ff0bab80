/** @file Requests with an `Idempotency-Key` in Postgres: which process answers, and the answer. */

import { randomUUID } from 'node:crypto'
import { type Database, query } from '#database'

/** Time, in seconds, after which a process that has not renewed its lease is presumed dead. */
const LEASE_SECONDS = 15
/** Time, in hours, for which a key keeps its answer; maintenance deletes it afterwards. */
const KEPT_HOURS = 24

/** Right of one process to answer a request. */
export interface Ownership {
  readonly tenantId: string
  readonly key: string
  readonly owner: string
  /** Id that the answer and its episode must have. */
  readonly answerId: string
  /** Whether a process died while it answered: its episode may be stored under `answerId`. */
  readonly isTakenOver: boolean
}

type Claim =
  | { readonly state: 'own'; readonly ownership: Ownership }
  /** Another process, or another request of this one, is answering. */
  | { readonly state: 'running' }
  | { readonly state: 'answered'; readonly result: unknown }
  /** The key belongs to another request. */
  | { readonly state: 'other-request' }

/** @throws ServiceError STORE_UNAVAILABLE from every method */
export interface IdempotencyStore {
  /** Claims a key of a tenant. @param requestHash SHA-256 of the request */
  claim(tenantId: string, key: string, requestHash: Buffer): Promise<Claim>
  /** Renews the lease, which must happen every few seconds. */
  renew(ownership: Ownership): Promise<void>
  /** Stores the answer. @returns false if another process has taken over meanwhile; its answer counts */
  complete(ownership: Ownership, result: unknown): Promise<boolean>
  /** Gives the key back, without an answer. */
  release(ownership: Ownership): Promise<void>
}

/**
 * Inserts a row, or takes over one that has ended, or one whose owner died. The id of the answer stays when the owner
 * died, and is a new one when the row has ended.
 */
const CLAIM = `
  insert into idempotency_keys (tenant_id, key, request_hash, owner, answer_id, leased_until)
  values ($1, $2, $3, $4, $5, now() + interval '${LEASE_SECONDS} s')
  on conflict (tenant_id, key) do update set
    owner = excluded.owner, leased_until = excluded.leased_until, request_hash = excluded.request_hash,
    result = null, created_at = now(),
    answer_id = case
      when idempotency_keys.result is null and idempotency_keys.request_hash = excluded.request_hash
        then idempotency_keys.answer_id
      else excluded.answer_id
    end
  where idempotency_keys.created_at < now() - interval '${KEPT_HOURS} h'
    or (idempotency_keys.result is null and idempotency_keys.leased_until < now()
      and idempotency_keys.request_hash = excluded.request_hash)
  returning answer_id as "answerId"`

const READ =
  'select request_hash as "requestHash", result from idempotency_keys where tenant_id = $1 and key = $2'

const OWNED = 'tenant_id = $1 and key = $2 and owner = $3 and result is null'
const RENEW = `update idempotency_keys set leased_until = now() + interval '${LEASE_SECONDS} s' where ${OWNED}`
const COMPLETE = `update idempotency_keys set result = $4 where ${OWNED}`
/** The row stays, so that the next owner deletes an episode that was stored before the failure. */
const RELEASE = `update idempotency_keys set leased_until = now() - interval '1 ms' where ${OWNED}`

interface Row {
  readonly requestHash: Buffer
  readonly result: string | null
}

/** Creates the store. All times are the database's, so that all processes agree on leases. */
export function createIdempotencyStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): IdempotencyStore {
  const valuesOf = ({ tenantId, key, owner }: Ownership) => [tenantId, key, owner]
  return {
    async claim(tenantId, key, requestHash) {
      const [owner, newId] = [randomUUID(), randomUUID()]
      const claimed = await query<{ answerId: string }>(database, 'claim idempotency key', CLAIM, [
        tenantId,
        key,
        requestHash,
        owner,
        newId,
      ])
      const answerId = claimed.rows[0]?.answerId
      if (answerId !== undefined) {
        const ownership = { tenantId, key, owner, answerId, isTakenOver: answerId !== newId }
        return { state: 'own', ownership }
      }
      const { rows } = await query<Row & Record<string, unknown>>(database, 'read idempotency key', READ, [
        tenantId,
        key,
      ])
      const [row] = rows
      // Pruned between the two statements: the next claim gets it.
      if (row === undefined) return { state: 'running' }
      if (!row.requestHash.equals(requestHash)) return { state: 'other-request' }
      return row.result === null
        ? { state: 'running' }
        : { state: 'answered', result: JSON.parse(row.result) }
    },
    async renew(ownership) {
      await query(database, 'renew idempotency key', RENEW, valuesOf(ownership))
    },
    async complete(ownership, result) {
      // As text, not as JSON of Postgres, which cannot hold every text of a model.
      const values = [...valuesOf(ownership), JSON.stringify(result)]
      const { rowCount } = await query(database, 'store answer', COMPLETE, values)
      return rowCount === 1
    },
    async release(ownership) {
      await query(database, 'release idempotency key', RELEASE, valuesOf(ownership))
    },
  }
}
