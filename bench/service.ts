/**
 * @file Bench of the whole service over HTTP: time to ready, latency of single requests, the delay of the API's
 * event loop while the engine is saturated, one tenant beside the crowd of another one, times of tokens, and readers
 * that stop reading.
 *
 * `npm run bench:service -- [--parts ready,latency,load,fairness,streams,stalled] [--count 200] [--seconds 20]
 * [--concurrency 32] [--crowd 300] [--rounds 3] [--lanes 16] [--model DIR] [--json FILE]`. With `DATABASE_URL` (and
 * `REDIS_URL`), `fairness` runs on these servers. `--model` is the model of `streams`.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine } from '#evaluation'
import { makeProblems } from '../models/order-of-operations/problems.ts'
import { type Measurement, updateRecords } from './report/records.ts'
import { quantile } from './report/statistics.ts'
import { printTable } from './report/table.ts'
import { measureFairness } from './service/fairness.ts'
import { type RunningService, startService } from './service/running-service.ts'
import { measureStalledReaders } from './service/stalled-readers.ts'
import { measureTokenTimes } from './service/token-times.ts'

const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: 'ready,latency,load,fairness,streams,stalled' },
    count: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '20' },
    concurrency: { type: 'string', default: '32' },
    crowd: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '3' },
    lanes: { type: 'string', default: '16' },
    model: { type: 'string' },
    json: { type: 'string' },
  },
})
const PROBLEM_SEED = 31
const [count, seconds, concurrency, connections, rounds] = [
  Number(values.count),
  Number(values.seconds),
  Number(values.concurrency),
  Number(values.crowd),
  Number(values.rounds),
]
const asked = new Set(values.parts.split(','))
const problems = makeProblems({ split: 'heldout', count, seed: PROBLEM_SEED })
const machine = describeMachine()
console.log(`# The service over HTTP\n\n${JSON.stringify(machine)}`)

const measurements: Measurement[] = []
if (asked.has('ready') || asked.has('latency') || asked.has('load')) {
  await inFolder(async (dataDir) => {
    const first = await startService(dataDir)
    await first.stop()
    const service = await startService(dataDir)
    try {
      if (asked.has('ready')) measurements.push(...reportReady(first, service))
      if (asked.has('latency')) measurements.push(...(await measureLatency(service)))
      if (asked.has('load')) measurements.push(...(await measureLoad(service)))
    } finally {
      await service.stop()
    }
  })
}
if (asked.has('fairness')) {
  const { DATABASE_URL, REDIS_URL } = process.env
  const env = { ...(DATABASE_URL && { DATABASE_URL }), ...(REDIS_URL && { REDIS_URL }) }
  await inFolder(async (dataDir) => {
    measurements.push(...(await measureFairness({ dataDir, env, problems, connections, count, rounds })))
  })
}
if (asked.has('streams')) {
  const { model } = values
  const env = model === undefined ? {} : { MODEL_DIR: resolve(model) }
  const lanes = Number(values.lanes)
  const name = model === undefined ? 'bundled model' : basename(resolve(model))
  await inFolder(async (dataDir) => {
    measurements.push(...(await measureTokenTimes({ dataDir, env, model: name, problems, count, lanes })))
  })
}
if (asked.has('stalled')) measurements.push(...(await measureStalledReaders(seconds)))
if (values.json !== undefined) {
  await updateRecords(values.json, { bench: 'service', machine, seeds: [PROBLEM_SEED] }, measurements)
}

/** Runs `work` with a folder that is removed afterwards. */
async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-service-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function reportReady(first: RunningService, second: RunningService): Measurement[] {
  const readyMs = { 'fresh data folder': first.readyMs, 'existing data folder': second.readyMs }
  printTable('Time to ready', ['start', 'ms'], Object.entries(readyMs))
  return Object.entries(readyMs).map(([start, ms]) => ({
    part: 'ready',
    case: { start },
    n: 1,
    figures: { ms },
  }))
}

async function measureLatency(service: RunningService): Promise<Measurement[]> {
  const latency: Record<string, { p50Ms: number; p99Ms: number; n: number }> = {}
  for (const strategy of ['greedy', 'latentseek', 'auto', 'majority'] as const) {
    const times: number[] = []
    for (const [index, { question }] of [...problems.slice(0, 20), ...problems].entries()) {
      const started = performance.now()
      await service.solve({ question, strategy, seed: index })
      // The first twenty requests warm up.
      if (index >= 20) times.push(performance.now() - started)
    }
    latency[strategy] = { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), n: times.length }
  }
  printTable(
    'Latency of one request at a time',
    ['strategy', 'p50 ms', 'p99 ms', 'n'],
    Object.entries(latency).map(([name, { p50Ms, p99Ms, n }]) => [name, p50Ms, p99Ms, n]),
  )
  return Object.entries(latency).map(([strategy, { n, ...figures }]) => ({
    part: 'latency',
    case: { strategy },
    n,
    figures,
  }))
}

async function measureLoad(service: RunningService): Promise<Measurement[]> {
  await service.eventLoopDelay()
  const times: number[] = []
  const until = performance.now() + seconds * 1000
  const lane = async (offset: number) => {
    for (let index = offset; performance.now() < until; index += concurrency) {
      const started = performance.now()
      await service.solve({ question: problems[index % count]?.question ?? '', strategy: 'latentseek' })
      times.push(performance.now() - started)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, (_, offset) => lane(offset)))
  const eventLoop = await service.eventLoopDelay()
  const load = {
    concurrency,
    'solved per second': times.length / seconds,
    'p50 ms': quantile(times, 0.5),
    'p99 ms': quantile(times, 0.99),
    'event loop delay p50 ms': eventLoop.p50Ms,
    'event loop delay p99 ms': eventLoop.p99Ms,
    'event loop delay max ms': eventLoop.maxMs,
  }
  printTable(
    `Saturated for ${seconds} s with latentseek, every answer remembered`,
    ['measure', 'value'],
    Object.entries(load),
  )
  return Object.entries(load).map(([measure, value]) => ({
    part: 'load',
    case: { measure },
    n: times.length,
    figures: { value },
  }))
}
