/** @file The faults: how a part is hurt, how long it stays away, and how it comes back. */

import { setTimeout as delay } from 'node:timers/promises'
import { childrenOf } from '../support/service-process.ts'
import { type Deployment, until } from './deployment.ts'
import { enginesOf, type Part, send } from './processes.ts'

export interface Fault {
  readonly name: string
  readonly kind: 'kill' | 'freeze' | 'stop' | 'full'
  /** Number of times in one round. */
  readonly times: number
  /** Time in ms that the part stays away. */
  readonly holdMs: number
  /** Upper bound, in ms, on one time on an idle machine. The run leaves out faults that it has no time for. */
  readonly boundMs: number
  /** Part whose absence must not slow answers down; null when callers of the hurt part have to wait. */
  readonly away: 'postgres' | 'redis' | 'engine' | null
  /** Dependency that `/readyz` and the metrics of each API report as unavailable before the heal; null for none. */
  readonly shownAs: 'database' | 'queue' | null
  hurt(): Promise<unknown>
  heal(): Promise<unknown>
}

interface FaultOptions {
  /** Called with a defect that a fault itself shows, such as an exit code above 0. */
  readonly report: (defect: string) => void
}

type Hands = ReturnType<typeof createHands>

const EXIT_TIMEOUT_MS = 45_000
/** Time in ms that children have to end after their parent. */
const ORPHAN_MS = 5_000
const AT_ONCE = { times: 1, holdMs: 0, away: null, shownAs: null } as const
const none = async () => {}

/** Every fault of a round, in order. Faults of an API hurt the second one, so that the first one serves. */
export function createFaults(deployment: Deployment, options: FaultOptions): readonly Fault[] {
  const hands = createHands(deployment, options.report)
  return [
    ...createKills(deployment, hands),
    ...createFreezes(deployment, hands),
    ...createShortages(deployment),
    ...createStops(deployment, hands),
    stopWithFrozenEngine(deployment, hands),
  ]
}

function createKills(
  { apis: [, api], worker, redis, startRedis, startPostgres }: Deployment,
  hands: Hands,
): Fault[] {
  const kill = { ...AT_ONCE, kind: 'kill' } as const
  return [
    {
      ...kill,
      name: 'worker killed',
      times: 4,
      boundMs: 25_000,
      hurt: () => worker.end('SIGKILL'),
      heal: async () => worker.start(),
    },
    {
      ...kill,
      name: 'API killed',
      times: 2,
      boundMs: 40_000,
      hurt: hands.killApi,
      heal: async () => api.start(),
    },
    {
      ...kill,
      name: 'engine killed',
      times: 3,
      boundMs: 15_000,
      hurt: () => hands.signalEngine('SIGKILL'),
      heal: none,
    },
    {
      ...kill,
      name: 'Redis killed',
      times: 3,
      boundMs: 15_000,
      hurt: () => redis.end('SIGKILL'),
      heal: startRedis,
    },
    {
      ...kill,
      name: 'PostgreSQL killed',
      times: 2,
      boundMs: 20_000,
      hurt: () => hands.endPostgres('SIGKILL'),
      heal: startPostgres,
    },
  ]
}

function createFreezes({ apis: [, api], worker, redis, postgres }: Deployment, hands: Hands): Fault[] {
  const frozen = (part: Part) => ({
    ...AT_ONCE,
    kind: 'freeze' as const,
    hurt: () => part.signal('SIGSTOP', { children: true }),
    heal: () => part.signal('SIGCONT', { children: true }),
  })
  return [
    {
      ...AT_ONCE,
      name: 'engine frozen',
      kind: 'freeze',
      holdMs: 12_000,
      boundMs: 35_000,
      away: 'engine',
      hurt: () => hands.signalEngine('SIGSTOP'),
      heal: () => hands.signalEngine('SIGCONT'),
    },
    {
      ...frozen(postgres),
      name: 'PostgreSQL frozen',
      holdMs: 10_000,
      boundMs: 45_000,
      away: 'postgres',
      shownAs: 'database',
    },
    {
      ...frozen(redis),
      name: 'Redis frozen',
      holdMs: 10_000,
      boundMs: 25_000,
      away: 'redis',
      shownAs: 'queue',
    },
    { ...frozen(worker), name: 'worker frozen', holdMs: 5_000, boundMs: 25_000 },
    { ...frozen(api), name: 'API frozen', holdMs: 5_000, boundMs: 25_000 },
  ]
}

function createStops(
  { apis: [, api], worker, redis, startRedis, startPostgres }: Deployment,
  hands: Hands,
): Fault[] {
  const stop = { ...AT_ONCE, kind: 'stop' } as const
  return [
    {
      ...stop,
      name: 'PostgreSQL stopped',
      holdMs: 8_000,
      boundMs: 40_000,
      away: 'postgres',
      shownAs: 'database',
      hurt: () => hands.endPostgres('SIGINT'),
      heal: startPostgres,
    },
    {
      ...stop,
      name: 'Redis stopped',
      holdMs: 8_000,
      boundMs: 30_000,
      away: 'redis',
      shownAs: 'queue',
      hurt: () => redis.end('SIGTERM'),
      heal: startRedis,
    },
    {
      ...stop,
      name: 'worker stopped',
      boundMs: 30_000,
      hurt: () => hands.stop(worker),
      heal: async () => worker.start(),
    },
    {
      ...stop,
      name: 'API stopped',
      boundMs: 45_000,
      hurt: () => hands.stop(api),
      heal: async () => api.start(),
    },
  ]
}

function stopWithFrozenEngine({ apis: [, api] }: Deployment, hands: Hands): Fault {
  return {
    ...AT_ONCE,
    name: 'API stopped with a frozen engine',
    kind: 'stop',
    boundMs: 60_000,
    async hurt() {
      await hands.signalEngine('SIGSTOP')
      await hands.stop(api)
    },
    heal: async () => api.start(),
  }
}

/** Servers that run and have no room for writes. */
function createShortages({ disks, startPostgres, configureRedis }: Deployment): Fault[] {
  const full = { ...AT_ONCE, kind: 'full', holdMs: 5_000, boundMs: 30_000 } as const
  const memory: Fault = {
    ...full,
    name: 'Redis memory full',
    away: 'redis',
    shownAs: 'queue',
    hurt: () => configureRedis('maxmemory', '1'),
    heal: () => configureRedis('maxmemory', '0'),
  }
  if (disks === null) return [memory]
  return [
    {
      ...full,
      name: 'PostgreSQL disk full',
      away: 'postgres',
      shownAs: 'database',
      hurt: () => disks.postgres.fill(),
      // A server that could not write its log has ended, and is started again as a supervisor does.
      heal: () => disks.postgres.free().then(startPostgres),
    },
    {
      ...full,
      name: 'Redis disk full',
      away: 'redis',
      shownAs: 'queue',
      hurt: () => disks.redis.fill(),
      heal: () => disks.redis.free(),
    },
    memory,
  ]
}

function createHands({ apis: [, api], postgres }: Deployment, report: FaultOptions['report']) {
  async function expectGone(pids: readonly number[], event: string): Promise<void> {
    const started = performance.now()
    while (pids.some(isAlive) && performance.now() - started < ORPHAN_MS) await delay(50)
    const left = pids.filter(isAlive).length
    if (left > 0) report(`${event}: expected its children to end within ${ORPHAN_MS} ms, got ${left} alive`)
  }

  return {
    async killApi(): Promise<void> {
      const children = await childrenOf(await api.pid())
      await api.end('SIGKILL')
      await expectGone(children, `${api.name} killed`)
    },
    /** Stops a part as an operator does. */
    async stop(part: Part): Promise<void> {
      const children = await childrenOf(await part.pid())
      const late = setTimeout(
        () => report(`${part.name}: expected to end within ${EXIT_TIMEOUT_MS} ms of SIGTERM`),
        EXIT_TIMEOUT_MS,
      )
      const code = await part.end('SIGTERM')
      clearTimeout(late)
      if (code !== 0) report(`${part.name}: expected exit code 0 after SIGTERM, got ${code}`)
      await expectGone(children, `${part.name} stopped`)
    },
    async signalEngine(signal: NodeJS.Signals): Promise<void> {
      const engines = async () => enginesOf(await api.pid())
      await until(async () => (await engines()).length > 0, 60_000, `engine process of ${api.name}`)
      for (const pid of await engines()) send(pid, signal)
    },
    /** The next server refuses to start while a process of the last one lives. */
    async endPostgres(signal: NodeJS.Signals): Promise<void> {
      const backends = await childrenOf(await postgres.pid())
      await postgres.end(signal)
      await until(async () => !backends.some(isAlive), 30_000, 'end of the backends of PostgreSQL')
    },
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
