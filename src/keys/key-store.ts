/** @file The API keys in Postgres: created, listed, revoked and looked up by hash. */

import { createHash, randomBytes } from 'node:crypto'
import { type Database, isUuid, query, transaction } from '#database'
import { ServiceError } from '#errors'
import type { KeyLimits } from './limits.ts'
import type { KeyPurpose, Scope } from './scopes.ts'

/** Prefix by which people and secret scanners recognise a key. */
const PREFIX = 'ck_'
const KEY_BYTES = 32

/** Record of a key, as operators see it. The key itself is not stored. */
export interface StoredKey extends KeyPurpose {
  readonly id: string
  /** Whether the key comes from the file of `API_KEYS_FILE`. */
  readonly fromFile: boolean
  readonly createdAt: Date
  /** null: the key is valid. */
  readonly revokedAt: Date | null
}

/** Key with the purpose that a file gives it. */
export interface FileKey extends KeyPurpose {
  readonly key: string
}

/** Answer to the look-up of a hash. */
export interface Lookup {
  /** null: no valid key has this hash. */
  readonly found: Pick<StoredKey, 'id' | 'tenantId' | 'scopes' | 'rate' | 'tokens'> | null
  /** Whether any key was ever created. */
  readonly anyKeys: boolean
}

export interface KeyStore {
  /** Creates a key of 256 random bits. @returns the record, and the key, which cannot be read again */
  create(purpose: KeyPurpose): Promise<{ readonly stored: StoredKey; readonly key: string }>
  /** Returns all keys, oldest first, revoked ones included. */
  list(): Promise<readonly StoredKey[]>
  /** Revokes a key; a revoked one stays as it is. @throws ServiceError KEY_NOT_FOUND */
  revoke(id: string): Promise<StoredKey>
  /** Looks a hash up; null: only whether there are keys. */
  find(hash: Buffer | null): Promise<Lookup>
  /** Makes the keys of a file valid, with the file's purpose, and revokes those that an earlier file had. */
  syncFile(keys: readonly FileKey[]): Promise<void>
}

const COLUMNS = `
  id, name, tenant_id as "tenantId", scopes, rate, tokens, from_file as "fromFile",
  created_at as "createdAt", revoked_at as "revokedAt"`

const CREATE = `
  insert into api_keys (hash, name, tenant_id, scopes, rate, tokens, from_file)
  values ($1, $2, $3, $4, $5, $6, false)
  returning ${COLUMNS}`

const LIST = `select ${COLUMNS} from api_keys order by created_at, id`

const REVOKE = `
  update api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 returning ${COLUMNS}`

const FIND = `
  select id, tenant_id as "tenantId", scopes, rate, tokens, exists (select from api_keys) as "anyKeys"
  from (select) as always left join api_keys on hash = $1 and revoked_at is null`

const SYNC_ONE = `
  insert into api_keys (hash, name, tenant_id, scopes, rate, tokens, from_file)
  values ($1, $2, $3, $4, $5, $6, true)
  on conflict (hash) do update set
    name = excluded.name, tenant_id = excluded.tenant_id, scopes = excluded.scopes,
    rate = excluded.rate, tokens = excluded.tokens, from_file = true, revoked_at = null`

const REVOKE_OTHERS = `
  update api_keys set revoked_at = now() where from_file and revoked_at is null and not hash = any ($1)`

/** Processes with other files, or the same keys in another order, would wait for each other's rows. */
const LOCK = 'lock table api_keys in share row exclusive mode'

interface FoundRow extends KeyLimits {
  readonly id: string | null
  readonly tenantId: string
  readonly scopes: readonly Scope[]
  readonly anyKeys: boolean
}

/** SHA-256 of a key, by which it is stored and looked up. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

/**
 * Creates the store over Postgres. Every method throws ServiceError STORE_UNAVAILABLE.
 *
 * @param options.fileKeys keys that this process is about to give to `syncFile`: until then, `find` throws
 *   STORE_UNAVAILABLE for those that are not in the database yet, as they may be valid in a moment. None by default
 */
export function createKeyStore({
  database,
  fileKeys = [],
}: {
  readonly database: Pick<Database, 'pool'>
  readonly fileKeys?: readonly FileKey[]
}): KeyStore {
  let awaited = new Set(fileKeys.map(({ key }) => hashKey(key).toString('hex')))
  return {
    async create(purpose) {
      const key = `${PREFIX}${randomBytes(KEY_BYTES).toString('base64url')}`
      const { rows } = await query<StoredKey>(database, 'create key', CREATE, valuesOf(key, purpose))
      return { stored: firstOf(rows), key }
    },
    async list() {
      return (await query<StoredKey>(database, 'list keys', LIST)).rows
    },
    async revoke(id) {
      const { rows } = isUuid(id)
        ? await query<StoredKey>(database, 'revoke key', REVOKE, [id])
        : { rows: [] }
      if (rows[0] === undefined)
        throw new ServiceError('KEY_NOT_FOUND', `revoke key: expected the id of a key, got ${id}`)
      return rows[0]
    },
    async find(hash) {
      // Before the question: its answer may be older than the keys of the file.
      const isAwaited = hash !== null && awaited.has(hash.toString('hex'))
      const { rows } = await query<FoundRow>(database, 'find key', FIND, [hash])
      const { id, anyKeys, ...found } = firstOf(rows)
      if (id === null && isAwaited) {
        const fault = 'find key: expected the keys of API_KEYS_FILE in the database, got one that is not yet'
        throw new ServiceError('STORE_UNAVAILABLE', fault)
      }
      return { found: id === null ? null : { id, ...found }, anyKeys }
    },
    async syncFile(keys) {
      await transaction(database, 'keys of the file', async (client) => {
        await client.query(LOCK)
        for (const { key, ...purpose } of keys) await client.query(SYNC_ONE, valuesOf(key, purpose))
        await client.query(REVOKE_OTHERS, [keys.map(({ key }) => hashKey(key))])
      })
      awaited = new Set()
    },
  }
}

/** Values of $1 to $6. */
function valuesOf(key: string, { name, tenantId, scopes, rate, tokens }: KeyPurpose): unknown[] {
  return [hashKey(key), name, tenantId, scopes, rate, tokens]
}

function firstOf<Row>(rows: readonly Row[]): Row {
  if (rows[0] === undefined) throw new Error('api keys: expected a row, got none')
  return rows[0]
}
