/**
 * @file Retrieval on a server, by the number of a tenant's episodes: the exact scan, the tenant's own HNSW
 * index, and one index that all tenants share.
 */

import { loadavg } from 'node:os'
import { pino } from 'pino'
import { type Database, openDatabase } from '#database'
import { createEpisodeStore, createIndexSql, type EpisodeStore, vectorIndexName } from '#episodes'
import { createRandom } from '#tensor'
import { progress } from '../report/progress.ts'
import type { Measurement } from '../report/records.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import {
  addClustered,
  createClusters,
  drawQueries,
  FINGERPRINT,
  syntheticEpisode,
  tenantOf,
} from './synthetic.ts'

const TOP_K = 8
const silent = pino({ level: 'silent' })
const INDEXED_QUERIES = 1_000
const ADDS = 1_000
const SHARED_QUERIES = 100
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
const load = () => Number((loadavg()[0] ?? 0).toFixed(1))

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

/** A store that takes the exact scan, or the indexed statement, whatever the catalog holds. */
function storeOf(database: Database, indexed: boolean): EpisodeStore {
  return createEpisodeStore({ database, vectorIndexes: { has: async () => indexed } })
}

/** Asks for the neighbours of every query, after some to warm up. */
async function ask(store: EpisodeStore, tenantId: string, queries: readonly Float32Array[]) {
  const found: string[][] = []
  const times: number[] = []
  for (const [index, embedding] of [...queries.slice(0, 20), ...queries].entries()) {
    const query = { tenantId, fingerprint: FINGERPRINT, embedding, topK: TOP_K, minSimilarity: -1 }
    const started = performance.now()
    const neighbours = await store.nearest(query)
    if (index < Math.min(20, queries.length)) continue
    times.push(performance.now() - started)
    found.push(neighbours.map(({ episodeId }) => episodeId))
  }
  return { found, times }
}

function recall(found: readonly (readonly string[])[], truth: readonly (readonly string[])[]): number {
  const hits = truth.map((ids, index) => ids.filter((id) => found[index]?.includes(id)).length / ids.length)
  return hits.reduce((sum, share) => sum + share, 0) / hits.length
}

export async function measureScale({
  database,
  sizes,
  width,
  positions,
  seed,
}: ScaleOptions): Promise<Measurement[]> {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const searches: Measurement[] = []
  const indexes: Measurement[] = []
  const adds: Measurement[] = []
  const random = createRandom(seed)
  await createClusters(database, width)
  const fillMs = await milliseconds(() => addClustered(database, sizes, width))
  progress(`${total} episodes added in ${Math.round(fillMs / 1000)} s`)
  const queries = await drawQueries(database, INDEXED_QUERIES, width)
  const truths = new Map<number, string[][]>()

  async function search(how: string, episodes: number, store: EpisodeStore, count: number): Promise<void> {
    const { found, times } = await ask(store, tenantOf(episodes), queries.slice(0, count))
    const truth = truths.get(episodes) ?? found
    truths.set(episodes, truth)
    searches.push({
      part: `neighbours in ${total}`,
      case: { episodes, search: how },
      n: times.length,
      figures: {
        'p50 ms': quantile(times, 0.5),
        'p99 ms': quantile(times, 0.99),
        'recall@8': recall(found, truth),
        'fewest rows': Math.min(...found.map((ids) => ids.length)),
        load: load(),
      },
    })
    progress(
      `${how}, ${episodes}: p50 ${quantile(times, 0.5).toFixed(2)}, p99 ${quantile(times, 0.99).toFixed(2)}, recall ${recall(found, truth).toFixed(3)}, load ${load()}`,
    )
  }

  async function build(index: string, episodes: number, sql: string, name: string): Promise<void> {
    const ms = await milliseconds(() => unbounded(database, sql))
    const { rows } = await database.pool.query<{ bytes: string }>(
      'select pg_relation_size($1::regclass) as bytes',
      [name],
    )
    const figures = { 'build s': ms / 1000, MiB: Number(rows[0]?.bytes) / 2 ** 20, load: load() }
    indexes.push({ part: `indexes in ${total}`, case: { index, episodes }, n: 1, figures })
    progress(`index ${index} ${episodes}: ${JSON.stringify(figures)}`)
  }

  async function add(index: string): Promise<void> {
    const tenantId = tenantOf(Math.min(100_000, Math.max(...sizes)))
    const store = storeOf(database, false)
    const times: number[] = []
    for (let count = 0; count < ADDS; count++) {
      const episode = syntheticEpisode(random, { tenantId, width, positions })
      times.push(await milliseconds(() => store.add(episode)))
    }
    const figures = {
      'episodes per second': (1000 * ADDS) / times.reduce((sum, ms) => sum + ms, 0),
      'p50 ms': quantile(times, 0.5),
      'p99 ms': quantile(times, 0.99),
      load: load(),
    }
    adds.push({ part: `adds in ${total}`, case: { index }, n: ADDS, figures })
    progress(`add, ${index}: ${JSON.stringify(figures)}`)
    await database.pool.query("delete from episodes where tenant_id = $1 and answer = '12'", [tenantId])
  }

  for (const episodes of sizes)
    await search('exact scan', episodes, storeOf(database, false), exactQueries(episodes))
  await add('none')
  const indexed = sizes.filter((size) => size >= MIN_INDEXED)
  for (const episodes of indexed) {
    const tenant = { tenantId: tenantOf(episodes), fingerprint: FINGERPRINT, width }
    await build('own', episodes, createIndexSql(tenant), vectorIndexName(tenant.tenantId, FINGERPRINT))
  }
  for (const episodes of indexed)
    await search('own index', episodes, storeOf(database, true), INDEXED_QUERIES)
  await add('own')
  if (total <= MAX_SHARED) {
    for (const episodes of indexed)
      await unbounded(database, `drop index ${vectorIndexName(tenantOf(episodes), FINGERPRINT)}`)
    const sql = `create index episodes_shared on episodes using hnsw ((embedding::halfvec(${width})) halfvec_cosine_ops) where fingerprint = '${FINGERPRINT}' and steers`
    await build('shared', total, sql, 'episodes_shared')
    // Otherwise the planner may sort the rows of a small tenant, which is the exact scan.
    const url = new URL(database.connectionString)
    url.searchParams.set('options', '-c enable_sort=off')
    const unsorted = await openDatabase({ url: url.href, dataDir: '', logger: silent })
    for (const episodes of sizes)
      await search('shared index', episodes, storeOf(unsorted, true), SHARED_QUERIES)
    await unsorted.close()
  }
  const measured = [...searches, ...indexes, ...adds]
  for (const [title, part] of [
    [`The 8 nearest, by the tenant's episodes, among ${total} of all tenants`, searches],
    ['Indexes', indexes],
    ['One add after the other', adds],
  ] as const) {
    const rows = part.map(({ case: labels, figures }) => ({ ...labels, ...figures }))
    printTable(
      title,
      Object.keys(rows[0] ?? {}),
      rows.map((row) => Object.values(row)),
    )
  }
  return measured
}
