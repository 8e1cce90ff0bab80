/**
 * @file One tenant with a crowd of waiting requests, another with one at a time: the times of the second, alone and
 * beside the crowd, in turns, and where they go.
 */

import { writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { SolveRequest } from '#solving'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import type { Measurement } from '../report/records.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { type Clients, type CrowdCounts, type Reply, startClients } from './clients.ts'
import { type RunningService, startService, startWorkerProcess } from './running-service.ts'

export interface FairnessOptions {
  readonly dataDir: string
  readonly problems: readonly Problem[]
  /** Requests of the crowd that wait at any time. */
  readonly connections: number
  /** Requests of the polite tenant in each half of a round, alone and beside the crowd. */
  readonly count: number
  readonly rounds: number
  /** Settings of the service, such as those of servers. */
  readonly env: Readonly<Record<string, string>>
}

type Body = Partial<SolveRequest>

/** What the two tenants ask. */
const CASES: readonly { readonly name: string; readonly polite: Body; readonly crowd: Body }[] = [
  {
    name: 'greedy beside majority of 8',
    polite: { strategy: 'greedy', learn: false },
    crowd: { strategy: 'majority', samples: 8, learn: false },
  },
  { name: 'auto beside auto, remembered', polite: { strategy: 'auto' }, crowd: { strategy: 'auto' } },
]

/** Time, in ms, for which the crowd is there before the polite tenant asks. */
const CROWDING_MS = 3_000
const TENANTS = ['polite', 'crowd'] as const
const keyOf = (tenant: string) => `key-of-the-tenant-${tenant}-with-enough-characters`

interface Half {
  readonly replies: readonly Reply[]
  readonly eventLoopP99Ms: number
}

export async function measureFairness(options: FairnessOptions): Promise<Measurement[]> {
  const { dataDir, env, rounds } = options
  await using parts = new AsyncDisposableStack()
  const file = join(dataDir, 'keys.json')
  const keys = TENANTS.map((tenant) => ({ key: keyOf(tenant), name: tenant, tenant, scopes: ['solve'] }))
  await writeFile(file, JSON.stringify(keys))
  const settings = { ...env, API_KEYS_FILE: file }
  const service = parts.adopt(await startService(dataDir, 'error', settings), (it) => it.stop())
  if (env['DATABASE_URL'] !== undefined) {
    parts.adopt(await startWorkerProcess(env, 'error'), (it) => it.stop())
  }
  const [polite, crowd] = TENANTS.map((tenant) =>
    parts.adopt(startClients({ origin: service.origin, key: keyOf(tenant) }), (it) => it.close()),
  ) as [Clients, Clients]
  const measurements: Measurement[] = []
  for (const { name, ...bodies } of CASES) {
    const ask = bodiesOf(options, bodies.polite)
    await polite.sequence(ask(0).slice(0, 20))
    const alone: Half[] = []
    const beside: Half[] = []
    const counts: CrowdCounts[] = []
    /** Load average just before the crowd comes. */
    const loads: number[] = []
    for (let round = 0; round < rounds; round++) {
      alone.push(await half(service, polite, ask(2 * round + 1)))
      loads.push(loadavg()[0]!)
      crowd.crowd(bodiesOf(options, bodies.crowd)(2 * round + 1), options.connections)
      await setTimeout(CROWDING_MS)
      beside.push(await half(service, polite, ask(2 * round + 2)))
      counts.push(await crowd.stop())
    }
    measurements.push(...report(name, options, { alone, beside, counts, loads }))
  }
  return measurements
}

/** Returns the questions of a half round: other ones in each, so that none is answered from what is remembered of it. */
function bodiesOf({ problems, count }: FairnessOptions, body: Body) {
  return (part: number) =>
    Array.from({ length: count }, (_, index) => {
      const seed = part * count + index
      return { ...body, seed, question: problems[seed % problems.length]!.question }
    })
}

async function half(service: RunningService, clients: Clients, bodies: readonly object[]): Promise<Half> {
  await service.eventLoopDelay()
  const replies = await clients.sequence(bodies)
  const { p99Ms } = await service.eventLoopDelay()
  return { replies, eventLoopP99Ms: p99Ms }
}

/** Parts of the time of a reply, in ms. */
const PHASES: Readonly<Record<string, (reply: Reply) => number>> = {
  queue: ({ timings }) => timings?.queueMs ?? Number.NaN,
  retrieval: ({ timings }) => timings?.retrieveMs ?? Number.NaN,
  draft: ({ timings }) => timings?.draftMs ?? Number.NaN,
  search: ({ timings }) => timings?.optimizeMs ?? Number.NaN,
  judging: ({ timings }) => timings?.rewardMs ?? Number.NaN,
  'rest of the solve': ({ timings }) =>
    timings === null
      ? Number.NaN
      : timings.totalMs -
        (timings.queueMs + timings.retrieveMs + timings.draftMs + timings.optimizeMs + timings.rewardMs),
  'HTTP and client': ({ ms, timings }) => ms - (timings?.totalMs ?? Number.NaN),
}

function report(
  name: string,
  { connections }: FairnessOptions,
  { alone, beside, counts, loads }: { alone: Half[]; beside: Half[]; counts: CrowdCounts[]; loads: number[] },
): Measurement[] {
  const solved = (halves: readonly Half[]) =>
    halves.flatMap(({ replies }) => replies.filter(({ status }) => status === 200))
  const times = (replies: readonly Reply[]) => replies.map(({ ms }) => ms)
  const rows = [...alone.keys(), null].map((round) => {
    const of = (halves: readonly Half[]) => (round === null ? halves : [halves[round]!])
    const [before, during] = [times(solved(of(alone))), times(solved(of(beside)))]
    const sums = (what: keyof CrowdCounts) =>
      (round === null ? counts : [counts[round]!]).reduce((sum, count) => sum + count[what], 0)
    return {
      round: round === null ? 'all' : String(round + 1),
      n: before.length,
      'alone p50 ms': quantile(before, 0.5),
      'alone p95 ms': quantile(before, 0.95),
      'beside p50 ms': quantile(during, 0.5),
      'beside p95 ms': quantile(during, 0.95),
      'p95 beside / alone': quantile(during, 0.95) / quantile(before, 0.95),
      refused: of(beside).flatMap(({ replies }) => replies).length - during.length,
      'crowd answered': sums('answered'),
      'crowd refused': sums('refused'),
      'crowd failed': sums('failed'),
      load: round === null ? quantile(loads, 0.5) : loads[round]!,
    }
  })
  const phases = Object.entries(PHASES).map(([phase, of]) => {
    const [before, during] = [solved(alone).map(of), solved(beside).map(of)]
    return {
      phase,
      'alone p50 ms': quantile(before, 0.5),
      'alone p95 ms': quantile(before, 0.95),
      'beside p50 ms': quantile(during, 0.5),
      'beside p95 ms': quantile(during, 0.95),
    }
  })
  const loop = (halves: readonly Half[]) => Math.max(...halves.map(({ eventLoopP99Ms }) => eventLoopP99Ms))
  printTable(`${name}: a crowd of ${connections}`, Object.keys(rows[0]!), rows.map(Object.values))
  printTable(`${name}: where the time goes`, Object.keys(phases[0]!), phases.map(Object.values))
  console.log(`\nevent loop delay p99, ms: alone ${loop(alone)}, beside ${loop(beside)}`)
  const degraded = solved(beside).filter(({ degraded }) => degraded.length > 0).length
  console.log(`answers beside the crowd that are degraded: ${degraded}`)
  return [
    ...rows.map(({ round, n, ...figures }) => ({
      part: `fairness: ${name}`,
      case: { round },
      n,
      figures: { ...figures, degraded },
    })),
    ...phases.map(({ phase, ...figures }) => ({
      part: `fairness: ${name}: where the time goes`,
      case: { phase },
      n: solved(alone).length,
      figures,
    })),
  ]
}
