/**
 * @file Latency over HTTP against offered load, up to and past saturation; arrivals do not wait for answers.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Plot } from '#evaluation'
import { concurrently } from '#evaluation'
import type { Solution } from '#solving'
import { createRandom } from '#tensor'
import { makeProblems, type Problem } from '../../models/order-of-operations/problems.ts'
import { writeCsv } from '../report/csv.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { startService } from '../service/running-service.ts'

/** Offered loads, as shares of the rate that 32 requests at once reach. */
const SHARES = [0.25, 0.5, 0.75, 0.9, 1, 1.25, 1.5, 2, 3]
const LANES = 32

interface Reply {
  readonly status: number
  /** True for an answer given without memory. */
  readonly isDegraded: boolean
  readonly ms: number
}

/** Measures each share of `SHARES`. `docs` is the folder of the CSV; null writes none. */
export async function measureOfferedLoad(options: {
  readonly seconds: number
  readonly docs: string | null
}): Promise<{ readonly report: unknown; readonly plots: Plot[] }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-load-'))
  await using parts = new AsyncDisposableStack()
  parts.defer(() => rm(dataDir, { recursive: true, force: true }))
  const service = parts.adopt(await startService(dataDir, 'fatal'), (it) => it.stop())
  const problems = makeProblems({ split: 'heldout', count: 1000, seed: 47 })
  const ask = (index: number) => post(service.origin, problems[index % problems.length], index)

  const warm = await closedLoop(ask, options.seconds / 2)
  const saturated = Math.max(warm, await closedLoop(ask, options.seconds))
  const points: (ReturnType<typeof summarise> & { readonly rate: number })[] = []
  for (const share of SHARES) {
    const rate = share * saturated
    const started = performance.now()
    const replies = await openLoop(ask, rate, options.seconds)
    points.push({ rate, ...summarise(replies, (performance.now() - started) / 1000) })
  }
  const header = [
    'offered/s',
    'answered/s',
    'p50 ms',
    'p99 ms',
    'share of 503',
    'other errors',
    'without memory',
    'n',
  ]
  const rows = points.map((it) => [
    it.rate,
    it.answered,
    it.p50,
    it.p99,
    it.refused,
    it.errors,
    it.degraded,
    it.n,
  ])
  printTable(
    `Offered load over HTTP, latentseek, every answer remembered, ${options.seconds} s each; ${Math.round(saturated)}/s with ${LANES} at once`,
    header,
    rows,
  )
  if (options.docs !== null) await writeCsv(join(options.docs, 'offered-load.csv'), header, rows)
  const curve = (value: (point: (typeof points)[number]) => number) =>
    points.map((it): [number, number] => [it.rate, value(it)])
  const marks = [{ x: saturated, label: `${LANES} at once reach` }]
  const x = { label: 'requests offered per second' }
  return {
    report: { saturated, seconds: options.seconds, points },
    plots: [
      {
        marks,
        x,
        title: 'Bundled model over HTTP: latency of answers',
        y: { label: 'ms', log: 10 },
        series: [
          { name: 'p50', points: curve(({ p50 }) => p50) },
          { name: 'p99', points: curve(({ p99 }) => p99) },
        ],
      },
      {
        marks,
        x,
        title: 'Bundled model over HTTP: what is answered',
        y: { label: 'requests per second' },
        series: [
          { name: 'answered', points: curve(({ answered }) => answered) },
          { name: 'refused (503)', points: curve(({ refused, rate }) => refused * rate) },
        ],
      },
    ],
  }
}

async function post(origin: string, problem: Problem | undefined, seed: number): Promise<Reply> {
  const started = performance.now()
  const response = await fetch(`${origin}/solve`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ question: problem?.question, strategy: 'latentseek', seed }),
  })
  const body = (await response.json()) as Partial<Solution>
  const isDegraded = response.ok && body.degraded?.length !== 0
  return { status: response.status, isDegraded, ms: performance.now() - started }
}

/** Returns answers per second with `LANES` requests at any time. */
async function closedLoop(ask: (index: number) => Promise<Reply>, seconds: number): Promise<number> {
  const until = performance.now() + seconds * 1000
  let answered = 0
  await concurrently(Array.from({ length: LANES }), LANES, async (_, lane) => {
    for (let index = lane; performance.now() < until; index += LANES) {
      if ((await ask(index)).status === 200) answered += 1
    }
  })
  return answered / seconds
}

/** Sends requests at random times (Poisson); returns when the last one has been answered. */
async function openLoop(
  ask: (index: number) => Promise<Reply>,
  rate: number,
  seconds: number,
): Promise<Reply[]> {
  const random = createRandom(53, Math.round(rate))
  const replies: Promise<Reply>[] = []
  const started = performance.now()
  for (let due = 0; ; ) {
    due += (-Math.log(1 - random.uniform()) / rate) * 1000
    if (due > seconds * 1000) break
    const wait = started + due - performance.now()
    if (wait > 1) await setTimeout(wait)
    replies.push(ask(replies.length))
  }
  return await Promise.all(replies)
}

/** Summary of the replies. `seconds` runs from the first arrival to the last answer. */
function summarise(replies: readonly Reply[], seconds: number) {
  const good = replies.filter(({ status }) => status === 200).map(({ ms }) => ms)
  const refused = replies.filter(({ status }) => status === 503).length
  return {
    n: replies.length,
    answered: good.length / seconds,
    p50: quantile(good, 0.5),
    p99: quantile(good, 0.99),
    refused: refused / replies.length,
    errors: replies.length - good.length - refused,
    degraded: replies.filter(({ isDegraded }) => isDegraded).length,
  }
}
