/**
 * @file Several processes of one model. A new session goes to the process with the least work and stays
 * there.
 */

import type { ChildConnection } from './child-connection.ts'
import { addCounters, type EngineCounters } from './counters.ts'
import type { ServeOptions } from './protocol.ts'
import { type SuperviseOptions, type Supervisor, superviseEngine } from './supervisor.ts'
import type { ReplicaStatus } from './types.ts'

/** The process of a session, with its counts of open work. */
interface Place {
  readonly connection: ChildConnection
  /** Counts rows as open. The returned function must be called once, when they are answered. */
  addRows(rows: number): () => void
  /** Must be called once, when the session ends. */
  leave(): void
}

export interface Replicas {
  /** States of a latent thought; 0 when the model gives none. */
  readonly thoughtLayers: number
  /**
   * Returns a place for a session on the least loaded process; waits for a restart when no process is ready.
   * The session counts from now on.
   * @throws ServiceError ENGINE_UNAVAILABLE
   */
  place(): Promise<Place>
  /**
   * Sends one call to the least loaded process; waits for a restart when no process is ready.
   * @throws ServiceError ENGINE_UNAVAILABLE
   */
  use<Result>(call: (connection: ChildConnection) => Promise<Result>): Promise<Result>
  /** Returns the processes that are ready. */
  connections(): readonly ChildConnection[]
  /** Returns one entry per process. */
  status(): readonly ReplicaStatus[]
  /** Returns the number of rows and sessions in runs. */
  running(): { readonly rows: number; readonly sessions: number }
  /** Returns the counters of all processes so far. */
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
 * Starts `options.replicas` processes; on CUDA each has its own device, from `options.cudaDevice` on.
 *
 * @throws ServiceError when one of them cannot serve at the start; processes that die later are restarted
 * without limit, each on its own
 */
export async function startReplicas(
  options: ServeOptions,
  { logger, heartbeatLimitMs }: SuperviseOptions,
): Promise<Replicas> {
  const starts = await Promise.allSettled(
    Array.from({ length: options.replicas }, (_, index) =>
      superviseEngine(
        { ...options, cudaDevice: options.cudaDevice + index },
        {
          logger: options.replicas === 1 ? logger : logger.child({ replica: index }),
          heartbeatLimitMs,
        },
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
    // All processes are in the same state, so the first error stands for all.
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
    heartbeatAgeMs: connection?.heartbeatAgeMs() ?? null,
    sessions,
    waitingRows: Math.max(0, openRows - runningRows),
    runningRows,
    cachedSequences: load?.cachedSequences ?? 0,
    cacheBytes: load?.cacheBytes ?? 0,
    keptPrompts: load?.keptPrompts ?? 0,
  }
}
