/**
 * @file Bench of the whole service over HTTP: time to ready, latency of single requests, and the delay of
 * the API's event loop while the engine is saturated.
 *
 * `npm run bench:service -- [--count 200] [--seconds 20] [--concurrency 32] [--json FILE]`
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine } from '#evaluation'
import { makeProblems } from '../models/order-of-operations/problems.ts'
import { writeRecords } from './report/records.ts'
import { quantile } from './report/statistics.ts'
import { printTable } from './report/table.ts'
import { startService } from './service/running-service.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '20' },
    concurrency: { type: 'string', default: '32' },
    json: { type: 'string' },
  },
})
const PROBLEM_SEED = 31
const count = Number(values.count)
const concurrency = Number(values.concurrency)
const seconds = Number(values.seconds)

const machine = describeMachine()
console.log(`# The service over HTTP\n\n${JSON.stringify(machine)}`)

const dataDir = await mkdtemp(join(tmpdir(), 'circadian-service-'))
await using parts = new AsyncDisposableStack()
parts.defer(() => rm(dataDir, { recursive: true, force: true }))

const first = await startService(dataDir)
await first.stop()
const service = await startService(dataDir)
parts.defer(() => service.stop())
const readyMs = { 'fresh data folder': first.readyMs, 'existing data folder': service.readyMs }
printTable('Time to ready', ['start', 'ms'], Object.entries(readyMs))

const problems = makeProblems({ split: 'heldout', count, seed: PROBLEM_SEED })
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

if (values.json !== undefined) {
  await writeRecords(values.json, { bench: 'service', machine, seeds: [PROBLEM_SEED] }, [
    ...Object.entries(readyMs).map(([start, ms]) => ({
      part: 'ready',
      case: { start },
      n: 1,
      figures: { ms },
    })),
    ...Object.entries(latency).map(([strategy, { n, ...figures }]) => ({
      part: 'latency',
      case: { strategy },
      n,
      figures,
    })),
    ...Object.entries(load).map(([measure, value]) => ({
      part: 'load',
      case: { measure },
      n: times.length,
      figures: { value },
    })),
  ])
}
