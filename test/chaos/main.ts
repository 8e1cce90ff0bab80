/**
 * @file Hurts each part of a deployment on real servers while clients solve:
 * `npm run test:chaos -- [--minutes 8] [--rounds 1] [--once] [--clients 6] [--only NAME,...]`.
 *
 * Needs PostgreSQL with pgvector and Redis on this machine (`.ci/install-servers`); starts its own, and ends only
 * processes that it started. A round has every fault, with `--once` each once. No fault begins that might not end within the minutes.
 * Exit code 1 when an acknowledged episode is lost or doubled, a job is not done once, an answer is no declared
 * one, a part does not come back by itself, a fault never began, or a process is left at the end.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { audit, jobsFlow, watchJobs } from './audit.ts'
import { type Answer, type Clients, startClients } from './clients.ts'
import { createDeployment, type Deployment, until } from './deployment.ts'
import { createFaults, type Fault } from './faults.ts'
import { enginesOf, markedProcesses, type Part, send } from './processes.ts'

/** Upper bound, in ms, on an answer that begins or ends while PostgreSQL or Redis is away. */
const MAX_ANSWER_MS = 3_000
/** Upper bound, in ms, on the time from the freeze of an engine until another one runs: the heartbeat's limit and 5 s. */
const MAX_REPLACE_MS = 10_000
/** Upper bound on the warnings a minute of one process while a part is away. */
const MAX_LINES_A_MINUTE = 20
/** Upper bound, in ms, on the time in which the metrics show what `/readyz` shows. */
const MAX_SHOWN_MS = 5_000
/** Upper bound, in ms, on the time until a deployment is whole again after a fault. */
const RECOVERY_TIMEOUT_MS = 120_000
/** Age in seconds from which an episode without a label counts as late. */
const LATE_JOB_SECONDS = 3
/** Time kept for the end of a run: the last jobs, the comparison, the stop. */
const CLOSING_MS = 45_000

interface Outcome {
  readonly fault: string
  readonly answers: Readonly<Record<string, number>>
  readonly p50: number
  readonly worst: number
  /** Time in seconds from the heal until both API processes have answered and stored a solve. */
  readonly recovered: number
  /** Time in seconds from the heal until no job is late. */
  readonly jobs: number
  /** Warnings and errors of the noisiest process while the part was away. */
  readonly lines: number
}

const startedAt = performance.now()
const seconds = (from: number) => Math.round((performance.now() - from) / 100) / 10
const print = (text: string) => console.log(`[${seconds(startedAt).toFixed(1).padStart(6)} s] ${text}`)

const defects: string[] = []
const report = (defect: string): void => {
  defects.push(defect)
  print(`DEFECT ${defect}`)
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '1' },
    once: { type: 'boolean', default: false },
    clients: { type: 'string', default: '6' },
    only: { type: 'string', default: '' },
  },
})
const deadline = startedAt + Number(values.minutes) * 60_000 - CLOSING_MS
const mark = `${process.pid}-${Date.now()}`
const folder = await mkdtemp(join(tmpdir(), 'circadian-chaos-'))
const deployment = await createDeployment({ folder, mark })
const { apis, worker, databaseUrl } = deployment
const services = [...apis, worker]
let ended = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void endEverything().finally(() => process.exit(1)))
}

try {
  await run()
} catch (error) {
  report(error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  await endEverything()
}
if (defects.length > 0) {
  const logs = await mkdtemp(join(tmpdir(), 'circadian-chaos-logs-'))
  for (const { name, lines } of [...services, deployment.postgres, deployment.redis]) {
    await writeFile(join(logs, `${name}.log`), lines.join('\n'))
  }
  console.log(
    `chaos: ${defects.length} defects, logs in ${logs}\n${defects.map((each) => `- ${each}`).join('\n')}`,
  )
  process.exitCode = 1
}

async function run(): Promise<void> {
  await deployment.startPostgres()
  await deployment.startRedis()
  for (const part of services) part.start()
  for (const api of apis) await until(() => isReady(api.origin), RECOVERY_TIMEOUT_MS, api.name)
  await watchJobs(databaseUrl)
  if (deployment.disks === null) print('no right to mount: faults of a full disk are left out')
  print('ready: two API processes and a worker on PostgreSQL and Redis')
  const clients = startClients(apis, Number(values.clients))
  const counts = { kill: 0, freeze: 0, stop: 0, full: 0 }
  try {
    const only = values.only.split(',').filter(Boolean)
    const faults = createFaults(deployment, {
      report,
    }).filter(({ name }) => only.length === 0 || only.includes(name))
    const left = new Set<string>()
    const begun = new Set<string>()
    // Each fault once before any is repeated, so that a machine that is slow leaves out repetitions.
    const round = faults
      .flatMap((fault) =>
        Array.from({ length: values.once ? 1 : fault.times }, (_, time) => ({ fault, time })),
      )
      .sort((one, other) => one.time - other.time)
    for (const { fault } of Array.from({ length: Number(values.rounds) }, () => round).flat()) {
      if (performance.now() + fault.boundMs > deadline) {
        left.add(fault.name)
        continue
      }
      begun.add(fault.name)
      printOutcome(await inflict(fault, deployment, clients))
      counts[fault.kind]++
    }
    if (left.size > 0) print(`no time left for: ${[...left].join(', ')}`)
    for (const name of left.difference(begun)) report(`${name}: expected time for it once, got none`)
  } finally {
    await clients.stop()
  }
  await judge(clients, counts)
}

async function inflict(fault: Fault, { apis, databaseUrl }: Deployment, clients: Clients): Promise<Outcome> {
  const parts = [...services]
  const warnings = () =>
    parts.map(({ lines }) => lines.filter((line) => /^\{"level":[456]0/.test(line)).length)
  const hurtAt = performance.now()
  const before = warnings()
  await fault.hurt()
  const hold = delay(fault.holdMs)
  if (fault.shownAs !== null) for (const { origin } of apis) void scrape(origin).catch(() => {})
  if (fault.away === 'engine') await watchReplacement(fault, hold)
  await hold
  if (fault.shownAs !== null) await expectShown(fault.name, fault.shownAs)
  const lines = Math.max(...warnings().map((count, index) => count - before[index]!))
  const awayFor = performance.now() - hurtAt
  await fault.heal()
  const healedAt = performance.now()

  const since = ({ api, episodeId, startedAt }: Answer) =>
    startedAt >= healedAt && episodeId !== null ? [{ api, episodeId }] : []
  const isWhole = async () =>
    new Set(clients.answers.flatMap(since).map(({ api }) => api)).size === apis.length
  await until(isWhole, RECOVERY_TIMEOUT_MS, `${fault.name}: answers of both API processes`)
  const recovered = seconds(healedAt)
  const { episodeId } = clients.answers.flatMap(since).at(-1)!
  await until(
    () => jobsFlow(databaseUrl, episodeId, LATE_JOB_SECONDS),
    RECOVERY_TIMEOUT_MS,
    `${fault.name}: jobs`,
  )

  const answers = clients.during(hurtAt, healedAt)
  const times = answers.map(({ startedAt, endedAt }) => endedAt - startedAt).sort((a, b) => a - b)
  const worst = times.at(-1) ?? 0
  if ((fault.away === 'postgres' || fault.away === 'redis') && worst > MAX_ANSWER_MS) {
    report(`${fault.name}: expected answers within ${MAX_ANSWER_MS} ms, got ${Math.round(worst)} ms`)
  }
  const allowedLines = Math.ceil((MAX_LINES_A_MINUTE * Math.max(awayFor, 60_000)) / 60_000)
  if (fault.away !== null && lines > allowedLines) {
    report(`${fault.name}: expected at most ${allowedLines} warnings of a process, got ${lines}`)
  }
  const kinds = answers.map(({ status, code, degraded }) =>
    [status, code, degraded.length > 0 && `without ${degraded.join('+')}`].filter(Boolean).join(' '),
  )
  return {
    fault: fault.name,
    answers: countEach(kinds),
    p50: times[times.length >> 1] ?? 0,
    worst,
    recovered,
    jobs: seconds(healedAt),
    lines,
  }
}

async function scrape(origin: string): Promise<string> {
  const response = await fetch(`${origin}/metrics`, { signal: AbortSignal.timeout(10_000) })
  return response.text()
}

/** Expects that each API reports the dependency as unavailable, and itself as able to answer. */
async function expectShown(fault: string, dependency: 'database' | 'queue'): Promise<void> {
  const isUp = new RegExp(`^circadian:dependency_up\\{.*name="${dependency}".*\\} 1$`, 'm')
  for (const { name, origin } of apis) {
    const response = await fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(10_000) })
    const { checks } = (await response.json()) as { checks: Record<string, { ok: boolean }> }
    if (response.status !== 200 || checks[dependency]?.ok !== false)
      report(
        `${fault}: expected /readyz of ${name} to be 200 without ${dependency}, got ${response.status} ${JSON.stringify(checks)}`,
      )
    // A scrape returns the last answer of the queue and asks it again, which takes a while on a busy machine.
    const isShown = async () => !isUp.test(await scrape(origin))
    await until(isShown, MAX_SHOWN_MS, dependency).catch(() =>
      report(`${fault}: expected a metric of ${name} that ${dependency} is down, got up`),
    )
  }
}

/** Measures how long a frozen engine stays in place, at most until `hold` is over. */
async function watchReplacement({ name }: Fault, hold: Promise<unknown>): Promise<void> {
  const frozenAt = performance.now()
  const api = await apis[1].pid()
  const frozen = await enginesOf(api)
  let over = false
  void hold.then(() => {
    over = true
  })
  let replaced = false
  while (!over && !replaced) {
    await delay(100)
    const engines = await enginesOf(api)
    replaced = engines.length > 0 && !engines.some((pid) => frozen.includes(pid))
  }
  const took = performance.now() - frozenAt
  if (replaced) print(`${name}: another engine process runs after ${seconds(frozenAt)} s`)
  if (!replaced || took > MAX_REPLACE_MS) {
    report(`${name}: expected another engine process within ${MAX_REPLACE_MS} ms, got none`)
  }
}

async function judge(clients: Clients, counts: Readonly<Record<Fault['kind'], number>>): Promise<void> {
  const episodeIds = clients.answers.flatMap(({ episodeId }) => episodeId ?? [])
  const result = await audit(databaseUrl, episodeIds)
  // 422: an engine killed under a request, and again while the request ran alone.
  const declared = (status: number | string) => typeof status === 'string' || [200, 422, 503].includes(status)
  const undeclared = clients.answers.filter(({ status }) => !declared(status))
  const silent = clients.answers.filter(({ status, retryAfter }) => status === 503 && retryAfter === null)
  for (const [what, count] of Object.entries({
    'acknowledged episodes lost': result.lost,
    'requests stored twice': result.doubled,
    'jobs not done': result.notDone,
    'jobs done again': result.doneAgain,
    'episodes without exactly one row in the outbox': result.misposted,
    'answers with an undeclared status': undeclared.length,
    'answers 503 without Retry-After': silent.length,
    'answers after more than the timeout of the clients': clients.answers.filter(
      ({ status }) => status === 'client timeout',
    ).length,
  })) {
    if (count > 0) report(`expected no ${what}, got ${count}`)
  }
  for (const defect of [...services].flatMap(({ unexpectedEnds }) => unexpectedEnds)) report(defect)
  print(
    `${counts.kill} kills, ${counts.freeze} freezes, ${counts.stop} stops, ${counts.full} shortages; ${clients.answers.length} requests, ` +
      `${result.acknowledged} acknowledged, ${result.rows} stored, ${result.lost} lost, ${result.doubled} doubled, ` +
      `${result.notDone + result.doneAgain} jobs not done once; drained in ${result.drainSeconds} s`,
  )
}

/** Stops the service as an operator would, then the servers, and reports every process that is left. */
async function endEverything(): Promise<void> {
  if (ended) return
  ended = true
  const running = services.filter((part) => part.running())
  await Promise.all(running.map((part) => endWithin(part, 'SIGTERM', 45_000)))
  const left = await markedProcesses(mark)
  const isServer = ({ command }: { command: string }) => /redis-server|postgres/.test(command)
  for (const { pid, command } of left.filter((each) => !isServer(each))) {
    report(`expected no process left, got ${pid} ${command}`)
    send(pid, 'SIGKILL')
  }
  for (const part of [deployment.redis, deployment.postgres].filter((part) => part.running())) {
    await endWithin(part, 'SIGINT', 30_000)
  }
  await deployment.disks?.postgres.remove()
  await deployment.disks?.redis.remove()
  await rm(folder, { recursive: true, force: true })
  print('ended')
}

async function endWithin(part: Part, signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
  await part.signal('SIGCONT', { children: true })
  const killer = setTimeout(() => {
    report(`${part.name}: expected to end within ${timeoutMs} ms of ${signal}`)
    void part.signal('SIGKILL', { children: true })
  }, timeoutMs)
  const code = await part.end(signal)
  clearTimeout(killer)
  if (code !== 0) report(`${part.name}: expected exit code 0 after ${signal}, got ${code}`)
}

async function isReady(origin: string): Promise<boolean> {
  const { ok } = await fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(5000) })
  return ok
}

function countEach(kinds: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

function printOutcome({ fault, answers, p50, worst, recovered, jobs, lines }: Outcome): void {
  const kinds = Object.entries(answers).map(([kind, count]) => `${count} x ${kind}`)
  print(
    `${fault}: ${kinds.join(', ') || 'no answer'}; p50 ${(p50 / 1000).toFixed(2)} s, worst ${(worst / 1000).toFixed(1)} s; ` +
      `answers after ${recovered} s, jobs after ${jobs} s; ${lines} warnings`,
  )
}
