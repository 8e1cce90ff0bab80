/** @file HNSW indexes of large tenants: their names, and which of them retrieval may use. */

import { createHash } from 'node:crypto'
import { type Database, isOlderVersion, MIN_PGVECTOR_FOR_INDEXES, query } from '#database'

/** Prefix of all names; `like` pattern of the catalog queries. */
const NAME_PREFIX = 'episodes_hnsw_'
const NAME_PATTERN = 'episodes\\_hnsw\\_%'
/** Time, in ms, after which a new or dropped index is noticed. */
const REFRESH_MS = 30_000

/**
 * Name of the index of one tenant and model over the projections. Postgres stores no NUL, so two pairs never share a
 * text. Indexes of earlier releases, over the embeddings, have other names.
 */
export function vectorIndexName(tenantId: string, fingerprint: string): string {
  const digest = createHash('sha256').update(`${tenantId}\0${fingerprint}\0projection`).digest('hex')
  return `${NAME_PREFIX}${digest.slice(0, 32)}`
}

interface StoredIndex {
  readonly name: string
  /** False while it is built, and after a build that failed. */
  readonly valid: boolean
  readonly building: boolean
}

export interface IndexState {
  /** Whether the installed pgvector is new enough for indexes. */
  readonly supported: boolean
  readonly version: string
  readonly indexes: readonly StoredIndex[]
}

const STATE_SQL = `
  select
    (select extversion from pg_extension where extname = 'vector') as version,
    (
      select coalesce(jsonb_agg(jsonb_build_object(
        'name', pg_class.relname,
        'valid', indisvalid,
        'building', exists (
          select from pg_stat_progress_create_index where index_relid = pg_index.indexrelid
        )
      )), '[]')
      from pg_index join pg_class on pg_class.oid = indexrelid
      where indrelid = 'episodes'::regclass and pg_class.relname like $1
    ) as indexes`

/** @param minPgvector oldest version on which indexes count as supported */
export async function readIndexState(
  database: Pick<Database, 'pool'>,
  minPgvector: string = MIN_PGVECTOR_FOR_INDEXES,
): Promise<IndexState> {
  const { rows } = await query<Omit<IndexState, 'supported'>>(database, 'read indexes', STATE_SQL, [
    NAME_PATTERN,
  ])
  const { version = '0', indexes = [] } = rows[0] ?? {}
  return { supported: !isOlderVersion(version, minPgvector), version, indexes }
}

export interface VectorIndexes {
  /**
   * Whether retrieval may use an index for this tenant and model, by the last reading of the catalog. An old
   * reading is repeated in the background: no request waits for it.
   */
  has(tenantId: string, fingerprint: string): boolean
}

export interface VectorIndexesOptions {
  readonly database: Pick<Database, 'pool'> & Partial<Pick<Database, 'kind'>>
  /** Oldest pgvector whose indexes are used; tests and benches lower it. */
  readonly minPgvector?: string
}

/** Reads the usable indexes from the catalog, at most every 30 s. An embedded database has none. */
export function createVectorIndexes({ database, minPgvector }: VectorIndexesOptions): VectorIndexes {
  let usable: ReadonlySet<string> = new Set()
  let readAt = Number.NEGATIVE_INFINITY

  async function read(): Promise<void> {
    const { supported, indexes } = await readIndexState(database, minPgvector)
    usable = new Set(supported ? indexes.filter(({ valid }) => valid).map(({ name }) => name) : [])
  }

  return {
    has(tenantId, fingerprint) {
      const now = performance.now()
      if (database.kind !== 'embedded' && now - readAt >= REFRESH_MS) {
        readAt = now
        // Without a new reading the last one stays; the next one is due after the same time.
        read().catch(() => {})
      }
      return usable.has(vectorIndexName(tenantId, fingerprint))
    },
  }
}
