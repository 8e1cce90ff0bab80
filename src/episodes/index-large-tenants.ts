/** @file Builds and drops the HNSW indexes of large tenants. */

import { setTimeout as delay } from 'node:timers/promises'
import { escapeLiteral, type PoolClient } from 'pg'
import type { Logger } from 'pino'
import { type Database, query } from '#database'
import { type IndexState, readIndexState, vectorIndexName } from './vector-indexes.ts'

/**
 * Number of retrievable episodes of one tenant and model from which an index is built. Below it, the scan takes
 * about as long as the index (`npm run bench:retrieval`). The index is dropped below half of it.
 */
const MIN_INDEXED_EPISODES = 10_000
const INTERVAL_MS = 10 * 60_000
/** Upper bound on one build, in ms; it replaces the pool's bound on a statement. */
const BUILD_TIMEOUT_MS = 12 * 3_600_000

export interface LargeTenant {
  readonly tenantId: string
  readonly fingerprint: string
  readonly episodes: number
  /** Whether every episode has its projection. An index that is built earlier slows down filling them in. */
  readonly isProjected: boolean
}

const LARGE_TENANTS_SQL = `
  select large.*, not exists (
    select from episodes
    where tenant_id = "tenantId" and fingerprint = large.fingerprint and projection is null
  ) as "isProjected"
  from (
    select tenant_id as "tenantId", fingerprint, count(*)::integer as episodes
    from episodes where steers
    group by tenant_id, fingerprint
    having count(*) >= $1
  ) as large`

/**
 * Decides which indexes to build and which to drop.
 *
 * @param tenants those with at least half of `minEpisodes` episodes
 */
export function planIndexes(
  tenants: readonly LargeTenant[],
  { indexes }: Pick<IndexState, 'indexes'>,
  minEpisodes: number,
): { readonly build: readonly LargeTenant[]; readonly drop: readonly string[] } {
  const names = new Set(indexes.map(({ name }) => name))
  const kept = new Set(tenants.map((tenant) => vectorIndexName(tenant.tenantId, tenant.fingerprint)))
  return {
    build: tenants.filter(
      ({ tenantId, fingerprint, episodes, isProjected }) =>
        episodes >= minEpisodes && isProjected && !names.has(vectorIndexName(tenantId, fingerprint)),
    ),
    drop: indexes
      .filter(({ name, valid, building }) => !building && !(valid && kept.has(name)))
      .map(({ name }) => name),
  }
}

/**
 * Breadth of the search for a new row's links. With pgvector's default of 64, the rows of a dense cluster may
 * link to each other alone: of 200 queries over 100 clusters of 1,000 rows, 5 found none of their neighbours.
 * With 128 all do, and the build takes 1.7 times as long.
 */
const EF_CONSTRUCTION = 128

/** Takes the lock of the worker that changes indexes, for the rest of the session. */
const LOCK_SQL = "select pg_try_advisory_lock(hashtextextended('circadian episode indexes', 0)) as locked"

/** Statement that builds one index without blocking writes; not allowed inside a transaction. */
export function createIndexSql({
  tenantId,
  fingerprint,
}: Pick<LargeTenant, 'tenantId' | 'fingerprint'>): string {
  return `
    create index concurrently if not exists ${vectorIndexName(tenantId, fingerprint)} on episodes
    using hnsw (projection halfvec_cosine_ops) with (ef_construction = ${EF_CONSTRUCTION})
    where tenant_id = ${escapeLiteral(tenantId)} and fingerprint = ${escapeLiteral(fingerprint)} and steers`
}

export interface IndexLargeTenantsOptions {
  readonly database: Pick<Database, 'pool'>
  readonly logger: Logger
  readonly minEpisodes?: number
  /** Oldest pgvector on which indexes are built; tests lower it. */
  readonly minPgvector?: string
  readonly intervalMs?: number
}

/**
 * Starts the upkeep of the indexes, at once and then every 10 minutes. Several workers may run it: one
 * at a time changes indexes, the others look again in the next round. An index that was left
 * invalid by a failed build is dropped, and built again in the next round.
 *
 * Closing does not wait for a build: the server finishes it, and the next worker finds it.
 */
export function startIndexingLargeTenants({
  database,
  logger,
  minEpisodes = MIN_INDEXED_EPISODES,
  minPgvector,
  intervalMs = INTERVAL_MS,
}: IndexLargeTenantsOptions): { close(): Promise<void> } {
  const stopping = new AbortController()
  let hasWarned = false

  async function round(): Promise<void> {
    const state = await readIndexState(database, minPgvector)
    const { rows } = await query<LargeTenant>(database, 'find large tenants', LARGE_TENANTS_SQL, [
      Math.ceil(minEpisodes / 2),
    ])
    const { build, drop } = planIndexes(rows, state, minEpisodes)
    if (!state.supported) {
      const version = state.version
      if (build.length > 0 && !hasWarned)
        logger.warn(
          { version, tenants: build.length },
          'large tenants without an index: pgvector is too old for indexes, retrieval stays a scan',
        )
      hasWarned ||= build.length > 0
      return
    }
    for (const index of drop) {
      if (!(await change(`drop index concurrently if exists ${index}`))) return
      logger.info({ index }, 'index of episodes dropped')
    }
    for (const tenant of build) {
      const { tenantId, fingerprint, episodes } = tenant
      const index = vectorIndexName(tenantId, fingerprint)
      logger.info({ index, fingerprint, episodes }, 'index of episodes: build started')
      const started = performance.now()
      if (!(await change(createIndexSql(tenant)))) return
      const ms = Math.round(performance.now() - started)
      logger.info({ index, fingerprint, episodes, ms }, 'index of episodes built')
    }
  }

  /**
   * Runs one statement on a connection of its own, without time limits; `close` abandons it. Two concurrent
   * builds on one table would wait for each other, so a lock lets one worker in at a time; it ends with the
   * connection.
   *
   * @returns false when another worker holds the lock, and nothing was run
   */
  async function change(sql: string): Promise<boolean> {
    const client: PoolClient = await database.pool.connect()
    // The connection is never used again, because its settings differ from those of the others.
    let hasReleased = false
    const release = () => {
      hasReleased = true
      client.release(true)
    }
    client.on('error', () => {})
    stopping.signal.addEventListener('abort', release)
    try {
      stopping.signal.throwIfAborted()
      await client.query('set statement_timeout = 0')
      const { rows } = await client.query<{ locked: boolean }>(LOCK_SQL)
      if (!rows[0]?.locked) return false
      await client.query({ text: sql, query_timeout: BUILD_TIMEOUT_MS } as { text: string })
      return true
    } finally {
      stopping.signal.removeEventListener('abort', release)
      if (!hasReleased) release()
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await round().catch((error: unknown) => {
        if (!stopping.signal.aborted) logger.warn({ err: error }, 'upkeep of episode indexes failed')
      })
      await delay(intervalMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    close: () => {
      stopping.abort()
      return running
    },
  }
}
