/**
 * @file The episode store alone: time to open the database, to add and retrieve episodes as their number
 * grows, and jobs per second.
 *
 * `npm run bench:retrieval -- [--width 256] [--latents 15] [--sizes 1000,10000] [--jobs 500] [--seed 1]
 * [--json FILE]`, on the embedded database; on PostgreSQL and Redis where `DATABASE_URL` (an empty database)
 * and `REDIS_URL` are set.
 */

import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { migrate, openDatabase } from '#database'
import { createEpisodeStore, createOutbox, type NewEpisode } from '#episodes'
import { connectQueues } from '#jobs'
import { createRandom, norm } from '#tensor'
import { describeMachine } from './report/machine.ts'
import { writeRecords } from './report/records.ts'
import { quantile } from './report/statistics.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    width: { type: 'string', default: '256' },
    latents: { type: 'string', default: '15' },
    sizes: { type: 'string', default: '1000,10000' },
    jobs: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})
/** Retrievals timed at each size. */
const QUERIES = 200
const width = Number(values.width)
const positions = Number(values.latents)
const { DATABASE_URL: url, REDIS_URL: redisUrl } = process.env
const logger = pino({ level: 'error' })
const random = createRandom(Number(values.seed))
const dataDir = await mkdtemp(join(tmpdir(), 'circadian-bench-'))

function vector(length: number): Float32Array {
  const data = Float32Array.from({ length }, () => random.gaussian())
  const scale = 1 / norm(data)
  return data.map((value) => value * scale)
}

function episode(): NewEpisode {
  const tokens = Array.from({ length: 60 }, (_, index) => index)
  const candidate = {
    tokens,
    text: 'so '.repeat(40),
    answer: '12',
    reward: -0.1,
    rewardTerms: { verifier: -0.1 },
    thought: null,
  }
  const latents = { length: positions, width }
  return {
    id: randomUUID(),
    tenantId: 'bench',
    fingerprint: 'bench',
    modelId: 'bench',
    strategy: 'auto',
    question: 'what is 3 + 4 * 2?',
    reference: null,
    embedding: vector(width),
    answer: '12',
    reasoning: 'so '.repeat(40),
    reward: -0.1,
    baseReward: -0.8,
    iterations: 3,
    evaluations: 2,
    generatedTokens: 180,
    stopped: 'reward',
    seed: 1,
    admitted: true,
    candidates: [
      { ...candidate, kind: 'draft', chosen: false, meetsAdmission: false },
      { ...candidate, kind: 'regeneration', chosen: true, meetsAdmission: true },
    ],
    latents: {
      zBase: { ...latents, data: vector(positions * width) },
      zStar: { ...latents, data: vector(positions * width) },
    },
  }
}

async function time<T>(task: () => Promise<T>): Promise<{ readonly ms: number; readonly result: T }> {
  const started = performance.now()
  const result = await task()
  return { ms: performance.now() - started, result }
}

const machine = describeMachine()
const kind = url === undefined ? 'embedded' : 'PostgreSQL'
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
const starts = { 'first start ms': first.ms, 'start ms': second.ms }
printTable('Opening', ['measure', 'value'], Object.entries(starts))

const store = createEpisodeStore({ database })
const outbox = createOutbox({ database })
let stored = 0

const retrieval: Record<string, number>[] = []
for (const size of values.sizes.split(',').map(Number)) {
  const adds: number[] = []
  for (; stored < size; stored++) {
    const next = episode()
    adds.push((await time(() => store.add(next))).ms)
  }
  const finds: number[] = []
  for (let query = 0; query < QUERIES; query++) {
    const embedding = vector(width)
    const ask = { tenantId: 'bench', fingerprint: 'bench', embedding, topK: 8, minSimilarity: -1 }
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
for (let job = 0; job < jobs; job++) await store.add(episode())
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
if (values.json !== undefined) {
  await writeRecords(values.json, { bench: 'retrieval', machine, seeds: [Number(values.seed)] }, [
    { part: 'starts', case: { database: kind }, n: 1, figures: starts },
    ...retrieval.map(({ episodes = 0, ...figures }) => ({
      part: 'retrieval',
      case: { database: kind, episodes },
      n: QUERIES,
      figures,
    })),
    { part: 'jobs', case: { queue: queue.queue }, n: jobs, figures: queue },
  ])
}
