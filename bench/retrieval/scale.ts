/**
 * @file Retrieval on a server, by the number of a tenant's episodes: by all embeddings, which is exact, by a scan of
 * the projections, by the tenant's own HNSW index over them, and by one index that all tenants share.
 */

import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { toSql } from 'pgvector'
import { pino } from 'pino'
import { type Database, openDatabase } from '#database'
import { createEpisodeStore, createIndexSql, type EpisodeStore, vectorIndexName } from '#episodes'
import { createRandom } from '#tensor'
import { progress } from '../report/progress.ts'
import type { Measurement } from '../report/records.ts'
import { mean, quantile } from '../report/statistics.ts'
import { type Cell, printTable } from '../report/table.ts'
import {
  addClustered,
  createClusters,
  drawQueries,
  FINGERPRINT,
  syntheticEpisode,
  tenantOf,
} from './synthetic.ts'

const TOP_K = 8
export const silent = pino({ level: 'silent' })
const INDEXED_QUERIES = 1_000
const ADDS = 1_000
const SHARED_QUERIES = 100
const WARM_UP = 20
/** Largest table on which the shared index is built. */
const MAX_SHARED = 200_000
/** Smallest tenant that gets an index of its own here. */
const MIN_INDEXED = 10_000

export interface ScaleOptions {
  readonly database: Database
  readonly sizes: readonly number[]
  readonly width: number
  readonly positions: number
  readonly seed: number
}

const exactQueries = (episodes: number) => Math.min(500, Math.max(30, Math.floor(20_000_000 / episodes)))

async function milliseconds(task: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await task()
  return performance.now() - started
}

/** Runs one statement without time limits. */
async function unbounded({ pool }: Database, text: string): Promise<void> {
  const client = await pool.connect()
  await client.query('set statement_timeout = 0')
  const config = { text, query_timeout: 12 * 3_600_000 }
  await client.query(config)
  client.release(true)
}

/** Compares the query with the embeddings of all episodes, without anything else that retrieval does. */
const EXACT_SQL = `
  select id from episodes where tenant_id = $1 and fingerprint = '${FINGERPRINT}' and steers
  order by embedding <=> $2::vector, id limit ${TOP_K}`

type Search = 'embeddings' | 'scan' | 'index'

/** A store that takes the scan, or the indexed statement, whatever the catalog holds. */
function storeOf(pool: Database['pool'], indexed: boolean): EpisodeStore {
  return createEpisodeStore({ database: { pool }, vectorIndexes: { has: () => indexed } })
}

/** Processor time, in ms, of a process of this machine so far; null elsewhere. */
export function processorMs(pid: number): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch {
    return null
  }
}

/** Asks for the neighbours of every query, after some to warm up. */
async function ask(
  pool: Database['pool'],
  search: Search,
  tenantId: string,
  queries: readonly Float32Array[],
) {
  const store = storeOf(pool, search === 'index')
  async function query(embedding: Float32Array): Promise<string[]> {
    if (search === 'embeddings') {
      const values = [tenantId, toSql(Array.from(embedding))]
      return (await pool.query<{ id: string }>(EXACT_SQL, values)).rows.map(({ id }) => id)
    }
    const wish = { tenantId, fingerprint: FINGERPRINT, embedding, topK: TOP_K, minSimilarity: -1 }
    return (await store.nearest(wish)).map(({ episodeId }) => episodeId)
  }
  for (const embedding of queries.slice(0, WARM_UP)) await query(embedding)
  // One query at a time has the pool use the same connection for all.
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  const pid = rows[0]?.pid ?? 0
  const found: string[][] = []
  const times: number[] = []
  const before = processorMs(pid)
  for (const embedding of queries) {
    const started = performance.now()
    const neighbours = await query(embedding)
    times.push(performance.now() - started)
    found.push(neighbours)
  }
  const after = processorMs(pid)
  // A scan has parallel workers, which are processes of their own.
  const serverMs =
    search !== 'index' || before === null || after === null ? null : (after - before) / queries.length
  return { found, times, serverMs }
}

/** Mean share of the exact neighbours that were found, over the queries that both sides answered. */
function recall(found: readonly (readonly string[])[], truth: readonly (readonly string[])[]): number {
  const shares = found.slice(0, truth.length).map((ids, index) => {
    const expected = truth[index] ?? []
    return expected.filter((id) => ids.includes(id)).length / expected.length
  })
  return mean(shares)
}

type Rows = { searches: Measurement[]; indexes: Measurement[]; adds: Measurement[] }

/** Measures the parts of one table of `total` episodes and collects the measurements. */
function createMeasurer({ database, sizes, width, positions, seed }: ScaleOptions, rows: Rows) {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const random = createRandom(seed)
  const truths = new Map<number, string[][]>()

  function keep(into: keyof Rows, part: string, measurement: Omit<Measurement, 'part'>): void {
    const figures = { ...measurement.figures, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
    rows[into].push({ ...measurement, part: `${part} in ${total}`, figures })
    progress(`${part}: ${JSON.stringify({ ...measurement.case, ...figures })}`)
  }

  return {
    /** The first search of a tenant is the exact one, to which the others are compared. */
    async search(
      how: string,
      episodes: number,
      { pool, search }: { readonly pool: Database['pool']; readonly search: Search },
      queries: readonly Float32Array[],
    ): Promise<void> {
      const { found, times, serverMs } = await ask(pool, search, tenantOf(episodes), queries)
      const truth = truths.get(episodes) ?? found
      truths.set(episodes, truth)
      const figures = {
        'p50 ms': quantile(times, 0.5),
        'p99 ms': quantile(times, 0.99),
        'server CPU ms': serverMs,
        'recall@8': recall(found, truth),
        'fewest rows': Math.min(...found.map((ids) => ids.length)),
      }
      keep('searches', 'neighbours', { case: { episodes, search: how }, n: times.length, figures })
    },

    async build(index: string, episodes: number, sql: string, name: string): Promise<void> {
      const ms = await milliseconds(() => unbounded(database, sql))
      const size = 'select pg_relation_size($1::regclass) as bytes'
      const { rows: sizeRows } = await database.pool.query<{ bytes: string }>(size, [name])
      const figures = { 'build s': ms / 1000, MiB: Number(sizeRows[0]?.bytes) / 2 ** 20 }
      keep('indexes', 'indexes', { case: { index, episodes }, n: 1, figures })
    },

    async add(index: string): Promise<void> {
      const tenantId = tenantOf(sizes.filter((size) => size <= 100_000).at(-1) ?? 0)
      const store = storeOf(database.pool, false)
      const times: number[] = []
      for (let count = 0; count < ADDS; count++) {
        const episode = syntheticEpisode(random, { tenantId, width, positions })
        times.push(await milliseconds(() => store.add(episode)))
      }
      const figures = {
        'episodes per second': (1000 * ADDS) / times.reduce((sum, ms) => sum + ms, 0),
        'p50 ms': quantile(times, 0.5),
        'p99 ms': quantile(times, 0.99),
      }
      keep('adds', 'adds', { case: { index }, n: ADDS, figures })
      await database.pool.query("delete from episodes where tenant_id = $1 and answer = '12'", [tenantId])
    },
  }
}

/** @param options sizes in ascending order */
export async function measureScale(options: ScaleOptions): Promise<Measurement[]> {
  const { database, sizes, width } = options
  const { pool } = database
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const rows: Rows = { searches: [], indexes: [], adds: [] }
  const measurer = createMeasurer(options, rows)
  await createClusters(database, width)
  const fillMs = await milliseconds(() => addClustered(database, sizes, width))
  progress(`${total} episodes added in ${Math.round(fillMs / 1000)} s`)
  const queries = await drawQueries(database, INDEXED_QUERIES, width)

  for (const episodes of sizes) {
    const few = queries.slice(0, exactQueries(episodes))
    await measurer.search('all embeddings', episodes, { pool, search: 'embeddings' }, few)
    await measurer.search('scan', episodes, { pool, search: 'scan' }, few)
  }
  await measurer.add('none')
  const large = sizes.filter((size) => size >= MIN_INDEXED)
  for (const episodes of large) {
    const tenant = { tenantId: tenantOf(episodes), fingerprint: FINGERPRINT, width }
    const name = vectorIndexName(tenant.tenantId, FINGERPRINT)
    await measurer.build('own', episodes, createIndexSql(tenant), name)
    await measurer.search('own index', episodes, { pool, search: 'index' }, queries)
  }
  await measurer.add('own')
  if (total <= MAX_SHARED) {
    for (const episodes of large)
      await unbounded(database, `drop index ${vectorIndexName(tenantOf(episodes), FINGERPRINT)}`)
    const sql = `create index episodes_shared on episodes
      using hnsw (projection halfvec_cosine_ops) with (ef_construction = 128)
      where fingerprint = '${FINGERPRINT}' and steers`
    await measurer.build('shared', total, sql, 'episodes_shared')
    // Otherwise the planner may sort the rows of a small tenant, which is the exact scan. The price of what
    // is off would start the compiler of queries.
    const url = new URL(database.connectionString)
    url.searchParams.set('options', '-c enable_sort=off -c jit=off')
    const unsorted = await openDatabase({ url: url.href, dataDir: '', logger: silent })
    for (const episodes of sizes) {
      const few = queries.slice(0, SHARED_QUERIES)
      await measurer.search('shared index', episodes, { pool: unsorted.pool, search: 'index' }, few)
    }
    await unsorted.close()
  }
  printAll(total, rows)
  return [...rows.searches, ...rows.indexes, ...rows.adds]
}

function printAll(total: number, { searches, indexes, adds }: Rows): void {
  for (const [title, part] of [
    [`The 8 nearest, by the tenant's episodes, among ${total} of all tenants`, searches],
    [`Indexes, among ${total}`, indexes],
    [`One add after the other, among ${total}`, adds],
  ] as const) {
    const rows = part.map(({ case: labels, n, figures }) => ({ ...labels, n: n ?? 0, ...figures }))
    const cells = rows.map((row) => Object.values(row).map((cell: Cell | null) => cell ?? '-'))
    printTable(title, Object.keys(rows[0] ?? {}), cells)
  }
}
