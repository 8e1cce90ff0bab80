/**
 * @file Soak: memory and remaining work of the service after thousands of mixed requests, some abandoned by
 * clients.
 */

import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { concurrently } from '#evaluation'
import type { Solution } from '#solving'
import { createRandom } from '#tensor'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { printTable } from '../report/table.ts'
import { type RunningService, startService } from '../service/running-service.ts'

const LANES = 16
const STRATEGIES = ['greedy', 'latentseek', 'auto', 'majority'] as const
/** Upper bound, in ms, on the time after which an abandoning client disconnects. */
const DISCONNECT_WITHIN_MS = 40
const SAMPLE_EVERY = 100

interface Weight {
  readonly requests: number
  readonly apiMiB: number
  readonly engineMiB: number
}

export async function soak(options: {
  readonly requests: number
  readonly warmUp: number
  /** Share of requests whose client disconnects. */
  readonly disconnects: number
}): Promise<unknown> {
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-soak-'))
  await using parts = new AsyncDisposableStack()
  parts.defer(() => rm(dataDir, { recursive: true, force: true }))
  const service = parts.adopt(await startService(dataDir, 'fatal'), (it) => it.stop())
  const problems = makeProblems({ split: 'heldout', count: 1000, seed: 59 })
  const random = createRandom(61)
  const outcomes = { answered: 0, 'without memory': 0, left: 0, refused: 0, failed: 0 }
  const weights: Weight[] = [weigh(service.pid, 0)]

  async function ask(index: number): Promise<void> {
    const leaves = random.uniform() < options.disconnects
    const controller = new AbortController()
    if (leaves) void setTimeout(random.uniform() * DISCONNECT_WITHIN_MS).then(() => controller.abort())
    try {
      const response = await fetch(`${service.origin}/solve`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        signal: controller.signal,
        body: JSON.stringify({
          question: problems[index % problems.length]?.question,
          strategy: STRATEGIES[index % STRATEGIES.length],
          seed: index,
        }),
      })
      const body = (await response.json()) as Partial<Solution>
      if (response.ok) outcomes[body.degraded?.length === 0 ? 'answered' : 'without memory'] += 1
      else if (response.status === 503) outcomes.refused += 1
      else outcomes.failed += 1
    } catch (error) {
      if (!controller.signal.aborted) throw error
      outcomes.left += 1
    }
    if ((index + 1) % SAMPLE_EVERY === 0) weights.push(weigh(service.pid, index + 1))
  }

  const total = options.warmUp + options.requests
  await concurrently(Array.from({ length: total }), LANES, (_, index) => ask(index))
  const load = await idleLoad(service)
  weights.push(weigh(service.pid, total))

  const [start, warm, end] = [
    weights[0]!,
    weights.find((it) => it.requests >= options.warmUp)!,
    weights.at(-1)!,
  ]
  const after = weights.filter((it) => it.requests >= options.warmUp)
  const slope = (value: (weight: Weight) => number) =>
    1000 *
    slopeOf(
      after.map((it) => it.requests),
      after.map(value),
    )
  const report = {
    ...options,
    outcomes,
    load,
    rows: [
      ['API', start.apiMiB, warm.apiMiB, end.apiMiB, slope((it) => it.apiMiB)],
      ['engine', start.engineMiB, warm.engineMiB, end.engineMiB, slope((it) => it.engineMiB)],
    ] as const,
    weights,
  }
  printTable(
    `Soak: ${options.requests} requests after ${options.warmUp} to warm up, ${LANES} at once, mixed strategies, ${100 * options.disconnects} % disconnect`,
    ['process', 'RSS MiB at start', 'after warm-up', 'at the end', 'MiB per 1,000 requests'],
    report.rows.map((row) => [...row]),
  )
  printTable('Afterwards', ['measure', 'value'], [...Object.entries(outcomes), ...Object.entries(load)])
  return report
}

/** Resident memory of the service and of its engine processes. */
function weigh(pid: number, requests: number): Weight {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,rss=,args='], { encoding: 'utf8' }).split('\n')
  const processes = lines.map((line) => {
    const [own = '', parent = '', rss = '', ...args] = line.trim().split(/\s+/)
    return { pid: Number(own), parent: Number(parent), mib: Number(rss) / 1024, args: args.join(' ') }
  })
  const sum = (some: typeof processes) => some.reduce((total, { mib }) => total + mib, 0)
  return {
    requests,
    apiMiB: sum(processes.filter((it) => it.pid === pid)),
    engineMiB: sum(processes.filter((it) => it.parent === pid && it.args.includes('engine'))),
  }
}

const LOAD = [
  'num_requests_running',
  'num_requests_waiting',
  'num_rows_running',
  'num_rows_waiting',
  'kv_cached_sequences',
  'kv_kept_prompts',
]

/** Remaining work of the engine from /metrics, read until it no longer changes (at most 5 s). */
async function idleLoad({ origin }: RunningService): Promise<Record<string, number>> {
  let last = ''
  for (let attempt = 0; attempt < 25; attempt++) {
    const text = await (await fetch(`${origin}/metrics`)).text()
    const values = LOAD.flatMap((name): [string, number][] => {
      const line = text.split('\n').find((it) => new RegExp(`^circadian:${name}(\\{|\\s)`).test(it))
      return line === undefined ? [] : [[name, Number(line.split(' ').at(-1))]]
    })
    const now = JSON.stringify(values)
    if (now === last) return Object.fromEntries(values)
    last = now
    await setTimeout(200)
  }
  throw new Error(`soak: expected an idle engine, got ${last} after 5 s`)
}

/** Slope of the least-squares line. */
function slopeOf(x: readonly number[], y: readonly number[]): number {
  const middle = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [mx, my] = [middle(x), middle(y)]
  const covariance = x.reduce((sum, value, index) => sum + (value - mx) * ((y[index] ?? my) - my), 0)
  return covariance / x.reduce((sum, value) => sum + (value - mx) ** 2, 0)
}
