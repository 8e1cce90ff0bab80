/** @file Retrieval by the width of the model: time and processor time of a search, and bytes of a stored episode. */

import { type Database, openDatabase } from '#database'
import { createEpisodeStore } from '#episodes'
import { createRandom } from '#tensor'
import { progress } from '../report/progress.ts'
import type { Measurement } from '../report/records.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { processorMs, silent } from './scale.ts'
import { FINGERPRINT, randomVector, syntheticEpisode } from './synthetic.ts'

const EPISODES = 10_000
const QUERIES = 200
const TOP_K = 3
/** Compared by the scan; the records of an earlier release have `embedding`. */
const COMPARED = 'projection'

/** Searches in one process of the server, so that its processor time is the whole cost. */
export async function measureWidths(
  database: Database,
  { widths, seed }: { readonly widths: readonly number[]; readonly seed: number },
): Promise<Measurement[]> {
  const url = new URL(database.connectionString)
  url.searchParams.set('options', '-c max_parallel_workers_per_gather=0')
  const alone = await openDatabase({ url: url.href, dataDir: '', logger: silent })
  const measured: Measurement[] = []
  for (const width of widths) {
    measured.push(await measureWidth(alone, width, seed))
    progress(JSON.stringify(measured.at(-1)))
  }
  await alone.close()
  printTable(
    `The ${TOP_K} nearest of ${EPISODES} episodes, by width`,
    ['width', 'compared', ...Object.keys(measured[0]?.figures ?? {})],
    measured.map(({ case: labels, figures }) => [...Object.values(labels), ...Object.values(figures)]),
  )
  return measured
}

async function measureWidth(database: Database, width: number, seed: number): Promise<Measurement> {
  const { pool } = database
  const random = createRandom(seed)
  const store = createEpisodeStore({ database, vectorIndexes: { has: () => false } })
  const tenantId = 'widths'
  await pool.query('truncate episodes, outbox cascade')
  for (let added = 0; added < EPISODES; added++)
    await store.add(syntheticEpisode(random, { tenantId, width, positions: 1 }))
  await pool.query('vacuum full analyze episodes')
  const { rows: sizes } = await pool.query<{ row: number; beside: number; all: number }>(
    `select
      pg_relation_size('episodes')::float8 / $1 as row,
      pg_relation_size(reltoastrelid)::float8 / $1 as beside,
      pg_total_relation_size('episodes')::float8 / $1 as all
    from pg_class where oid = 'episodes'::regclass`,
    [EPISODES],
  )
  const query = () =>
    store.nearest({
      tenantId,
      fingerprint: FINGERPRINT,
      embedding: randomVector(random, width),
      topK: TOP_K,
      minSimilarity: -1,
    })
  for (let warmUp = 0; warmUp < 20; warmUp++) await query()
  // One query at a time has the pool use the same connection for all.
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  const before = processorMs(rows[0]?.pid ?? 0)
  const times: number[] = []
  for (let asked = 0; asked < QUERIES; asked++) {
    const started = performance.now()
    await query()
    times.push(performance.now() - started)
  }
  const after = processorMs(rows[0]?.pid ?? 0)
  const figures = {
    'p50 ms': quantile(times, 0.5),
    'p99 ms': quantile(times, 0.99),
    'server CPU ms': before === null || after === null ? null : (after - before) / QUERIES,
    'bytes in the row': Math.round(sizes[0]?.row ?? 0),
    'bytes beside it': Math.round(sizes[0]?.beside ?? 0),
    'bytes with indexes': Math.round(sizes[0]?.all ?? 0),
  }
  return { part: 'widths', case: { width, compared: COMPARED }, n: QUERIES, figures }
}
