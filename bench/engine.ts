/**
 * @file Bench of the engine alone: time per token by batch, chunk and threads, prefill, head steps, and the
 * round trip to the engine process.
 *
 * `npm run bench:engine -- [--model DIR] [--tokens 48] [--repeats 9] [--json FILE]`
 */

import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { createEngine, loadModelDirectory } from '#engine'
import { describeMachine } from '#evaluation'
import { loadGraphs } from '../src/engine/child/load-graphs.ts'
import { createScheduler } from '../src/engine/child/scheduler.ts'
import { type Measurement, rowMeasurements, writeRecords } from './report/records.ts'
import { quantile } from './report/statistics.ts'
import { type Cell, printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/order-of-operations' },
    tokens: { type: 'string', default: '48' },
    repeats: { type: 'string', default: '9' },
    json: { type: 'string' },
  },
})
const tokens = Number(values.tokens)
const repeats = Number(values.repeats)
const machine = describeMachine()
const directory = await loadModelDirectory(values.model)
console.log(`# The engine\n\n${JSON.stringify(machine)}`)

/** Fastest and median milliseconds of `repeats` calls after two to warm up. */
async function time(task: () => Promise<unknown>): Promise<{ readonly min: number; readonly p50: number }> {
  const times: number[] = []
  for (let index = -2; index < repeats; index++) {
    const started = performance.now()
    await task()
    if (index >= 0) times.push(performance.now() - started)
  }
  return { min: Math.min(...times), p50: quantile(times, 0.5) }
}

const promptOf = (index: number) => [
  1,
  ...Array.from({ length: 16 }, (_, i) => 5 + ((i * 7 + index * 3) % 60)),
]

/** Times decoding `tokens` tokens for each of `rows` rows; no row ends early. */
async function decode(
  graphs: Awaited<ReturnType<typeof loadGraphs>>,
  rows: number,
  { chunkTokens = 32, temperature = 0 } = {},
) {
  const chunk = [chunkTokens, chunkTokens] as const
  const limits = { maxRunningRows: 64, chunkTokens: chunk, runMs: 0, maxInputTokens: 4096 }
  const scheduler = createScheduler({ runner: graphs.generation, eosTokenIds: [], limits })
  const { signal } = new AbortController()
  return await time(() =>
    Promise.all(
      Array.from({ length: rows }, (_, seed) =>
        scheduler.submit({
          past: null,
          input: promptOf(seed),
          decode: { temperature, seed, maxNewTokens: tokens, latents: 4 },
          keepCache: true,
          signal,
        }),
      ),
    ),
  )
}

const load = (threads: number) =>
  loadGraphs(
    {
      graphFile: directory.graphFile,
      config: directory.config,
      sizes: { ...directory.sizes, eosTokenIds: [] },
      executionProvider: 'cpu',
      cudaDevice: 0,
      threads,
      replicas: 1,
    },
    'cpu',
  )
const one = await load(1)
const measured: Measurement[] = []
function keep(part: string, title: string, header: readonly string[], rows: readonly (readonly Cell[])[]) {
  measured.push(...rowMeasurements(part, header, rows))
  printTable(title, header, rows)
}

const batches = []
for (const rows of [1, 2, 4, 8, 16, 32]) {
  const greedy = await decode(one, rows)
  const sampled = await decode(one, rows, { temperature: 1 })
  batches.push([
    rows,
    greedy.min / tokens,
    greedy.p50 / tokens,
    greedy.min / tokens / rows,
    sampled.min / tokens,
  ])
}
keep(
  'micro batches',

  `${tokens} tokens after a prompt of 17, one thread, chunks of 32: ms per step`,
  ['rows', 'fastest', 'p50', 'fastest per row', 'fastest sampled'],
  batches,
)

const chunks = []
for (const chunkTokens of [1, 4, 8, 16, 32, 64]) {
  const [alone, together] = [await decode(one, 1, { chunkTokens }), await decode(one, 16, { chunkTokens })]
  chunks.push([chunkTokens, alone.min / tokens, together.min / tokens])
}
keep('micro chunks', 'Tokens per run: fastest ms per step', ['chunk', '1 row', '16 rows'], chunks)

const byThreads = []
for (const threads of [1, 2]) {
  const graphs = threads === 1 ? one : await load(threads)
  const [alone, together] = [await decode(graphs, 1), await decode(graphs, 16)]
  byThreads.push([threads, alone.min / tokens, together.min / tokens])
}
keep('micro threads', 'Threads: fastest ms per step', ['threads', '1 row', '16 rows'], byThreads)

await using parts = new AsyncDisposableStack()
const engine = await createEngine({
  directory: values.model,
  executionProvider: 'cpu',
  cudaDevice: 0,
  logger: pino({ level: 'silent' }),
})
parts.defer(() => engine.close())
const { signal } = new AbortController()
const session = await engine.open(promptOf(0), { signal })
const prefill = await time(async () => {
  const fresh = await engine.open(promptOf(0), { signal })
  await fresh.embed()
  fresh.close()
})
// The state is cached after the first call: the second measures the round trip alone.
await session.embed()
const roundTrip = await time(() => session.embed())
const [answer] = await session.generate([
  { prefix: [], temperature: 0, seed: 0, maxNewTokens: 32, latents: 4 },
])
const latents = answer?.latents ?? { data: new Float32Array(), length: 0, width: engine.hiddenSize }
const size = latents.length * latents.width
const ascend = await time(() =>
  engine.head.ascend(
    {
      latents,
      adam: { m: new Float32Array(size), v: new Float32Array(size), step: 0 },
      actions: [answer?.tokens.slice(0, latents.length) ?? []],
      advantages: [-1],
      maxSteps: 10,
      untilChanged: false,
      lr: 0.01,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      temperature: 1,
    },
    signal,
  ),
)
const suffix = engine.codec.encode(directory.info.profile.judge.criteria[0]?.prompt ?? '')
const score = await time(() => session.score([{ sequence: answer?.sequence ?? 0, suffix }], [7, 8]))
session.close()
const calls: Cell[][] = [
  ['round trip to the engine process', roundTrip.min, roundTrip.p50],
  ['open, prefill of 17 tokens, close', prefill.min, prefill.p50],
  ['verdict on an answer', score.min, score.p50],
  [`10 Adam steps on ${latents.length} latents`, ascend.min, ascend.p50],
]
keep('micro calls', 'Calls from the API process: ms', ['call', 'fastest', 'p50'], calls)

if (values.json !== undefined) {
  await writeRecords(values.json, { bench: 'engine', machine, seeds: [] }, measured)
}
