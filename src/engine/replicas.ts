/** @file Several processes of one model: the one with the least to do gets the next session, which stays with it. */

import type { Logger } from 'pino'
import type { ChildConnection } from './child-connection.ts'
import { addCounters, type EngineCounters } from './counters.ts'
import type { ServeOptions } from './protocol.ts'
import { type Supervisor, superviseEngine } from './supervisor.ts'
import type { ReplicaStatus } from './types.ts'

/** Where a session lives: a process, and the count of what it was given. */
interface Place {
  readonly connection: ChildConnection
  /** Returns what is called once, when the rows are answered. */
  addRows(rows: number): () => void
  /** Called once, when the session ends. */
  leave(): void
}

export interface Replicas {
  /** States of a latent thought; 0 where the model gives none. */
  readonly thoughtLayers: number
  /**
   * A place for a session on the least loaded process that serves; waits briefly while none does. The session counts from now on.
   * @throws ServiceError ENGINE_UNAVAILABLE
   */
  place(): Promise<Place>
  /** One call that any process can answer, to the least loaded; waits likewise. @throws ServiceError ENGINE_UNAVAILABLE */
  use<Result>(call: (connection: ChildConnection) => Promise<Result>): Promise<Result>
  /** The processes that serve right now. */
  connections(): readonly ChildConnection[]
  /** One entry per process. */
  status(): readonly ReplicaStatus[]
  /** Rows and sessions in runs. */
  running(): { readonly rows: number; readonly sessions: number }
  /** What all processes have done so far. */
  totals(): EngineCounters
  /** Waits briefly for calls in flight, then ends all processes. Idempotent. */
  close(): Promise<void>
}

interface Replica {
  readonly supervisor: Supervisor
  sessions: number
  openRows: number
}

/**
 * Starts `options.replicas` processes; on CUDA each has a device of its own, from `options.cudaDevice` on.
 *
 * @throws ServiceError when one of them cannot serve; later processes are tried again for ever, each on its own.
 */
export async function startReplicas(options: ServeOptions, logger: Logger): Promise<Replicas> {
  const starts = await Promise.allSettled(
    Array.from({ length: options.replicas }, (_, index) =>
      superviseEngine(
        { ...options, cudaDevice: options.cudaDevice + index },
        options.replicas === 1 ? logger : logger.child({ replica: index }),
      ),
    ),
  )
  const replicas: Replica[] = starts.flatMap((start) =>
    start.status === 'fulfilled' ? { supervisor: start.value, sessions: 0, openRows: 0 } : [],
  )
  const failure = starts.find((start) => start.status === 'rejected')
  if (failure) {
    await Promise.all(replicas.map(({ supervisor }) => supervisor.close()))
    throw failure.reason
  }

  const work = ({ sessions, openRows }: Replica) => sessions + openRows
  const serving = () => replicas.filter(({ supervisor }) => supervisor.current() !== null)
  const leastLoaded = () => serving().reduce((least, next) => (work(next) < work(least) ? next : least))

  return {
    thoughtLayers: replicas[0]!.supervisor.thoughtLayers,
    async place() {
      while (serving().length === 0) await untilOneServes(replicas)
      return placeOn(leastLoaded())
    },
    async use(call) {
      while (serving().length === 0) await untilOneServes(replicas)
      const replica = leastLoaded()
      replica.openRows += 1
      try {
        return await call(replica.supervisor.current()!)
      } finally {
        replica.openRows -= 1
      }
    },
    connections: () => replicas.flatMap(({ supervisor }) => supervisor.current() ?? []),
    status: () => replicas.map(statusOf),
    running() {
      const loads = replicas.flatMap(({ supervisor }) => supervisor.current()?.load() ?? [])
      return {
        rows: loads.reduce((sum, { runningRows }) => sum + runningRows, 0),
        sessions: loads.reduce((sum, { runningSessions }) => sum + runningSessions, 0),
      }
    },
    totals: () => replicas.map(({ supervisor }) => supervisor.totals()).reduce(addCounters),
    async close() {
      await Promise.all(replicas.map(({ supervisor }) => supervisor.close()))
    },
  }
}

async function untilOneServes(replicas: readonly Replica[]): Promise<void> {
  try {
    await Promise.any(replicas.map(({ supervisor }) => supervisor.connection()))
  } catch (thrown) {
    // All are in the same state: what one says holds for all.
    throw thrown instanceof AggregateError ? thrown.errors[0] : thrown
  }
}

function placeOn(replica: Replica): Place {
  replica.sessions += 1
  return {
    connection: replica.supervisor.current()!,
    addRows(rows) {
      replica.openRows += rows
      return () => {
        replica.openRows -= rows
      }
    },
    leave() {
      replica.sessions -= 1
    },
  }
}

function statusOf({ supervisor, sessions, openRows }: Replica): ReplicaStatus {
  const connection = supervisor.current()
  const load = connection?.load()
  const runningRows = load?.runningRows ?? 0
  return {
    state: supervisor.state(),
    provider: supervisor.provider(),
    pid: connection?.pid ?? null,
    restarts: supervisor.restarts(),
    sessions,
    waitingRows: Math.max(0, openRows - runningRows),
    runningRows,
    cachedSequences: load?.cachedSequences ?? 0,
    cacheBytes: load?.cacheBytes ?? 0,
    keptPrompts: load?.keptPrompts ?? 0,
  }
}
