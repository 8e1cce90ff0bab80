/**
 * @file The episode store alone: time to open the database, to add and retrieve episodes as their number
 * grows, and jobs per second.
 *
 * `npm run bench:retrieval -- [--width 256] [--latents 15] [--sizes 1000,10000] [--jobs 500] [--seed 1]
 * [--json FILE]`, on the embedded database; on PostgreSQL and Redis where `DATABASE_URL` (an empty database)
 * and `REDIS_URL` are set.
 *
 * `--widths 128,896,3584` measures search and disk space by the width of the model; it requires `DATABASE_URL`.
 * `--recall [--model DIR]` measures the recall of projections on synthetic clusters and on the questions of a model;
 * it needs no database.
 *
 * `--scale 1000,10000,100000` measures the exact scan and the indexes instead, with one tenant of each size
 * in one table; it requires `DATABASE_URL`. `--force-index` also builds indexes on a pgvector below 0.8.4.
 */

import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { isOlderVersion, MIN_PGVECTOR_FOR_INDEXES, migrate, openDatabase } from '#database'
import { createEpisodeStore, createOutbox } from '#episodes'
import { describeMachine } from '#evaluation'
import { connectQueues } from '#jobs'
import { createRandom } from '#tensor'
import { type Measurement, updateRecords } from './report/records.ts'
import { quantile } from './report/statistics.ts'
import { printTable } from './report/table.ts'
import { measureRecall } from './retrieval/recall.ts'
import { measureScale } from './retrieval/scale.ts'
import { FINGERPRINT, randomVector, syntheticEpisode } from './retrieval/synthetic.ts'
import { measureWidths } from './retrieval/widths.ts'

const { values } = parseArgs({
  options: {
    width: { type: 'string', default: '256' },
    latents: { type: 'string', default: '15' },
    sizes: { type: 'string', default: '1000,10000' },
    jobs: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
    scale: { type: 'string' },
    widths: { type: 'string' },
    recall: { type: 'boolean', default: false },
    model: { type: 'string' },
    'force-index': { type: 'boolean', default: false },
  },
})
/** Retrievals timed at each size. */
const QUERIES = 200
const width = Number(values.width)
const positions = Number(values.latents)
const { DATABASE_URL: url, REDIS_URL: redisUrl } = process.env
const logger = pino({ level: 'error' })
const random = createRandom(Number(values.seed))
async function time<T>(task: () => Promise<T>): Promise<{ readonly ms: number; readonly result: T }> {
  const started = performance.now()
  const result = await task()
  return { ms: performance.now() - started, result }
}

const newEpisode = () => syntheticEpisode(random, { tenantId: 'bench', width, positions })
const machine = describeMachine()
const kind = url === undefined ? 'embedded' : 'PostgreSQL'
const run = { bench: 'retrieval', machine, seeds: [Number(values.seed)] }
const record = async (measurements: readonly Measurement[]) => {
  if (values.json !== undefined) await updateRecords(values.json, run, measurements)
}
if (values.recall) {
  await record(await measureRecall({ seed: Number(values.seed), model: values.model ?? null }))
  process.exit()
}
const dataDir = await mkdtemp(join(tmpdir(), 'circadian-bench-'))
console.log(`# The memory (${kind}, D ${width}, ${positions} latents)\n\n${JSON.stringify(machine)}`)

async function open() {
  const database = await openDatabase({ url, dataDir, logger })
  await migrate(database.pool, join(import.meta.dirname, '../migrations'))
  return database
}
const first = await time(open)
await first.result.close()
const second = await time(open)
const database = second.result
const { rows: versions } = await database.pool.query<{ version: string; pgvector: string }>(
  `select current_setting('server_version') as version, extversion as pgvector from pg_extension
  where extname = 'vector'`,
)
const { version = '', pgvector = '' } = versions[0] ?? {}
const server = `${kind} ${version.split(' ')[0]}, pgvector ${pgvector}`
console.log(server)
if (values.scale !== undefined) {
  if (url === undefined) throw new Error('--scale: expected DATABASE_URL')
  if (isOlderVersion(pgvector, MIN_PGVECTOR_FOR_INDEXES) && !values['force-index'])
    throw new Error(
      `--scale: expected pgvector ${MIN_PGVECTOR_FOR_INDEXES}, got ${pgvector}; or --force-index`,
    )
  const [firstRow, ...others] = await measureScale({
    database,
    sizes: values.scale.split(',').map(Number),
    width,
    positions,
    seed: Number(values.seed),
  })
  await record(firstRow === undefined ? [] : [{ ...firstRow, settings: { server } }, ...others])
  await database.close()
  await rm(dataDir, { recursive: true })
  process.exit()
}
if (values.widths !== undefined) {
  if (url === undefined) throw new Error('--widths: expected DATABASE_URL')
  const widths = values.widths.split(',').map(Number)
  const [firstRow, ...others] = await measureWidths(database, { widths, seed: Number(values.seed) })
  await record(firstRow === undefined ? [] : [{ ...firstRow, settings: { server } }, ...others])
  await database.close()
  await rm(dataDir, { recursive: true })
  process.exit()
}
const starts = { 'first start ms': first.ms, 'start ms': second.ms }
printTable('Opening', ['measure', 'value'], Object.entries(starts))

const store = createEpisodeStore({ database })
const outbox = createOutbox({ database })
let stored = 0

const retrieval: Record<string, number>[] = []
for (const size of values.sizes.split(',').map(Number)) {
  const adds: number[] = []
  for (; stored < size; stored++) {
    const next = newEpisode()
    adds.push((await time(() => store.add(next))).ms)
  }
  const finds: number[] = []
  for (let query = 0; query < QUERIES; query++) {
    const embedding = randomVector(random, width)
    const ask = { tenantId: 'bench', fingerprint: FINGERPRINT, embedding, topK: 8, minSimilarity: -1 }
    finds.push((await time(() => store.nearest(ask))).ms)
  }
  retrieval.push({
    episodes: size,
    'add p50 ms': quantile(adds, 0.5),
    'add p99 ms': quantile(adds, 0.99),
    'nearest p50 ms': quantile(finds, 0.5),
    'nearest p99 ms': quantile(finds, 0.99),
  })
}
printTable(
  `Adding, and the 8 nearest of all (${QUERIES} queries)`,
  Object.keys(retrieval[0] ?? {}),
  retrieval.map((row) => Object.values(row)),
)

// Jobs of the episodes above are dropped: only new episodes are timed, from worker start to the last one
// indexed.
await database.pool.query('truncate outbox')
const jobs = Number(values.jobs)
for (let job = 0; job < jobs; job++) await store.add(newEpisode())
const queues = connectQueues({ database, redisUrl, logger, prefix: `bench-${randomUUID()}` })
let indexed = 0
const { promise: done, resolve } = Promise.withResolvers<void>()
const work = await time(async () => {
  const worker = queues.startWorker({
    outbox,
    store: {
      index: async (tenantId, id) => {
        await store.index(tenantId, id)
        indexed += 1
        if (indexed === jobs) resolve()
      },
    },
  })
  await done
  return worker
})
await work.result.close()
await queues.close()
const queue = {
  queue: redisUrl === undefined ? kind : 'Redis',
  jobs,
  ms: work.ms,
  'jobs per second': (1000 * jobs) / work.ms,
}
printTable('Relayed, queued, indexed', ['measure', 'value'], Object.entries(queue))

await database.close()
await rm(dataDir, { recursive: true })
await record([
  { part: `starts, ${kind}`, case: { database: kind }, n: 1, figures: starts, settings: { server } },
  ...retrieval.map(({ episodes = 0, ...figures }) => ({
    part: `retrieval, ${kind}`,
    case: { database: kind, episodes },
    n: QUERIES,
    figures,
  })),
  { part: `jobs, ${kind}`, case: { database: kind }, n: jobs, figures: queue },
])
