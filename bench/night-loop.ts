/**
 * @file Bench of the event loops while a night trains: requests arrive at a fixed rate, without a night, with
 * a night of the bundled model, and with a night of a model as wide as one of 7B parameters; and of the work of
 * one request of such a model.
 *
 * `npm run bench:night-loop -- [--arms request,none,bundled,wide] [--rate 8] [--seconds 20] [--day 300]
 * [--answers 1000] [--minutes 10] [--json FILE]`; with DATABASE_URL and REDIS_URL (`.ci/with-servers`), API and
 * worker are two processes. The night of the wide model cannot replay its weaver, for which there is no model;
 * everything before that is the service's own path.
 */

import { readFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createConsolidationStore } from '#artifacts'
import { concurrently, describeMachine } from '#evaluation'
import { makeProblems } from '../models/order-of-operations/problems.ts'
import { type Deployment, onEmbedded, onServers, type Running } from './night-loop/deployment.ts'
import { measureRequestCosts, type RequestCost } from './night-loop/request-costs.ts'
import { rememberWideDay, WIDE_MODEL } from './night-loop/wide-day.ts'
import { type Measurement, updateRecords } from './report/records.ts'
import { quantile } from './report/statistics.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    arms: { type: 'string', default: 'request,none,bundled,wide' },
    rate: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '20' },
    day: { type: 'string', default: '300' },
    answers: { type: 'string', default: '1000' },
    minutes: { type: 'string', default: '10' },
    json: { type: 'string' },
  },
})
const arms = values.arms.split(',')
const ratePerSecond = Number(values.rate)
const maxMs = Number(values.minutes) * 60_000
const DAY_SEED = 41
const LOAD_SEED = 42
const POLL_MS = 500
const MIB = 2 ** 20

const machine = describeMachine()
console.log(`# Event loops during a night\n\n${JSON.stringify(machine)}`)
const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env
const isServers = databaseUrl !== undefined && redisUrl !== undefined
const deploy = (): Promise<Deployment> => (isServers ? onServers({ databaseUrl, redisUrl }) : onEmbedded())
const processes = isServers ? 'two' : 'one'
const asked = makeProblems({ split: 'heldout', count: 400, seed: LOAD_SEED })

interface Night {
  readonly arm: string
  readonly status: string
  readonly seconds: number
  readonly trainerPeakMiB: number
}

interface Row {
  /** Arm of the bench, which names the part of its records. */
  readonly arm: string
  readonly night: string
  readonly process: string
  readonly figures: Readonly<Record<string, number>>
  readonly requests: number
}

const rows: Row[] = []

/** Sends requests at the rate while `until` is pending, and records the delays of all processes. */
async function measure(
  arm: string,
  night: string,
  { api, probed }: Running,
  until: Promise<unknown>,
): Promise<void> {
  const latencies: number[] = []
  const open = new Set<Promise<void>>()
  let failed = 0
  let isOver = false
  const over = until.finally(() => {
    isOver = true
  })
  for (const each of Object.values(probed)) await each.eventLoopDelay()
  const started = performance.now()
  for (let sent = 0; !isOver; sent++) {
    const at = performance.now()
    const request = api
      .solve({ question: asked[sent % asked.length]?.question ?? '', strategy: 'auto', seed: sent })
      .then(
        () => void latencies.push(performance.now() - at),
        (error: unknown) => {
          failed += 1
          console.error(error)
        },
      )
      .finally(() => open.delete(request))
    open.add(request)
    await setTimeout(Math.max(0, started + ((sent + 1) * 1000) / ratePerSecond - performance.now()))
  }
  await over
  await Promise.all(open)
  for (const [process, each] of Object.entries(probed)) {
    const delay = await each.eventLoopDelay()
    rows.push({
      arm,
      night,
      process,
      requests: latencies.length,
      figures: {
        'p50 ms': delay.p50Ms,
        'p99 ms': delay.p99Ms,
        'max ms': delay.maxMs,
        'own work p99 ms': delay.workP99Ms,
        'own work max ms': delay.workMaxMs,
        'peak MiB': await peakMiB(each.pid),
        'solve p50 ms': quantile(latencies, 0.5),
        'solve p99 ms': quantile(latencies, 0.99),
        failed,
        'requests a second': ratePerSecond,
        'load average': loadavg()[0] ?? 0,
      },
    })
  }
}

/** Peak memory of a process so far. */
async function peakMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return (Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) * 1024) / MIB
}

/** Waits for the end of a consolidation, at most the time of `--minutes`. */
async function ended(arm: string, { api }: Running, path: string): Promise<Night> {
  const started = performance.now()
  for (;;) {
    const response = await fetch(`${api.origin}${path}`)
    // 503: the database does not answer in time.
    const { status } = response.ok ? ((await response.json()) as { status: string }) : { status: 'running' }
    const seconds = (performance.now() - started) / 1000
    if (!['queued', 'running'].includes(status) || seconds * 1000 > maxMs) {
      const report = (await (await fetch(`${api.origin}${path}/report`)).json()) as {
        trainerPeakBytes?: number
        steps?: readonly { step: string; ms?: number }[]
      }
      console.log(JSON.stringify(report.steps ?? report))
      return { arm, status, seconds, trainerPeakMiB: (report.trainerPeakBytes ?? Number.NaN) / MIB }
    }
    await setTimeout(POLL_MS)
  }
}

const nights: Record<string, Night> = {}

let costs: readonly RequestCost[] = []
if (arms.includes('request')) {
  await using deployment = await onEmbedded()
  costs = await deployment.withDatabase(measureRequestCosts)
  printTable(
    'Longest work of the event loop in one request of a 7B-sized model',
    ['operation', 'median ms', 'max ms', 'n'],
    costs.map(({ operation, medianMs, maxMs: most, repetitions }) => [
      operation,
      medianMs,
      most,
      repetitions,
    ]),
  )
}

if (arms.includes('none') || arms.includes('bundled')) {
  await using deployment = await deploy()
  const running = await deployment.start()
  const day = makeProblems({ split: 'train', count: Number(values.day), seed: DAY_SEED })
  await concurrently(day, 16, async ({ question, answer }, seed) => {
    await running.api.solve({ question, reference: answer, strategy: 'majority', samples: 8, seed })
    await running.api.solve({ question, reference: answer, strategy: 'auto', seed })
  })
  if (arms.includes('none')) await measure('none', 'none', running, setTimeout(Number(values.seconds) * 1000))
  if (arms.includes('bundled')) {
    const response = await fetch(`${running.api.origin}/admin/consolidations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"force":true}',
    })
    const end = ended('bundled', running, response.headers.get('location') ?? '')
    await measure('bundled', 'bundled model', running, end)
    nights['bundled model'] = await end
  }
  await running.stop()
}

if (arms.includes('wide')) {
  await using deployment = await deploy()
  const answers = Number(values.answers)
  const id = await deployment.withDatabase(async (database) => {
    const started = performance.now()
    await rememberWideDay(database, answers)
    console.log(`wrote the wide day in ${((performance.now() - started) / 1000).toFixed(1)} s`)
    const request = {
      fingerprint: WIDE_MODEL,
      kinds: ['weaver', 'lrm'],
      force: true,
      trigger: 'request',
    } as const
    return (await createConsolidationStore({ database }).request(request)).id
  })
  const running = await deployment.start()
  const name = `29 x 3584, ${answers} answers`
  const end = ended('wide', running, `/admin/consolidations/${id}`)
  await measure('wide', name, running, end)
  nights[name] = await end
  await running.stop()
}

const figures = Object.keys(rows[0]?.figures ?? {})
printTable(
  'Delay of the event loops',
  ['night', 'process', 'requests', ...figures],
  rows.map(({ night, process, requests, figures: own }) => [night, process, requests, ...Object.values(own)]),
)
printTable(
  'The nights',
  ['night', 'processes', 'status', 'seconds', 'trainer peak MiB'],
  Object.entries(nights).map(([name, { status, seconds, trainerPeakMiB }]) => [
    name,
    processes,
    status,
    seconds,
    trainerPeakMiB,
  ]),
)

if (values.json !== undefined) {
  const measured: Measurement[] = [
    ...costs.map(({ operation, repetitions, ...own }) => ({
      part: 'request',
      case: { operation },
      n: repetitions,
      figures: own,
    })),
    ...rows.map(({ arm, night, process, requests, figures: own }) => ({
      part: `loop, ${arm}, ${processes}`,
      case: { night, process },
      n: requests,
      figures: own,
    })),
    ...Object.entries(nights).map(([night, { arm, ...own }]) => ({
      part: `night, ${arm}, ${processes}`,
      case: { night, processes },
      n: 1,
      figures: own,
    })),
  ]
  await updateRecords(values.json, { bench: 'night-loop', machine, seeds: [DAY_SEED, LOAD_SEED] }, measured)
}
