/** @file Keeps one engine process alive: starts it, and restarts it with back-off when it dies. */

import { setTimeout } from 'node:timers/promises'
import type { Logger } from 'pino'
import { coerceError, ServiceError } from '#errors'
import { type ChildConnection, connectChild } from './child-connection.ts'
import { addCounters, type EngineCounters, zeroCounters } from './counters.ts'
import type { ServeOptions } from './protocol.ts'
import type { EngineStatus } from './types.ts'

/**
 * Time that a request waits for a restart, beyond twice the time that the last start took (the machine may be busier
 * now), before it fails with ENGINE_UNAVAILABLE.
 */
const RESTART_WAIT_MS = 5000
const MIN_BACK_OFF_MS = 100
const MAX_BACK_OFF_MS = 30_000
/** Lifetime from which on a process counts as healthy: after its death the back-off starts at its minimum. */
const HEALTHY_MS = 60_000
const DRAIN_TIMEOUT_MS = 5000

export interface SuperviseOptions {
  readonly logger: Logger
  /** Silence after which a process counts as hung and is replaced, unless it announced a long run. */
  readonly heartbeatLimitMs: number
}

export interface Supervisor {
  state(): EngineStatus['state']
  /** Returns the provider of the live process, or of the last one. */
  provider(): 'cpu' | 'cuda'
  /** States of a latent thought; 0 when the model gives none. */
  readonly thoughtLayers: number
  restarts(): number
  /** Returns the counters of all processes so far. */
  totals(): EngineCounters
  /** Returns the live process, or null while there is none; a hung process is none. */
  current(): ChildConnection | null
  /** Returns the live process; waits for a restart, see RESTART_WAIT_MS. @throws ServiceError ENGINE_UNAVAILABLE */
  connection(): Promise<ChildConnection>
  /** Waits briefly for calls in flight, then ends the process. Idempotent. */
  close(): Promise<void>
}

/**
 * Starts the first process. Later processes are started again without limit.
 * @throws ServiceError when the first process cannot serve
 */
export async function superviseEngine(
  options: ServeOptions,
  { logger, heartbeatLimitMs }: SuperviseOptions,
): Promise<Supervisor> {
  const closing = new AbortController()
  /** Time, in ms, that the last start took; seconds to minutes for large models. */
  let startMs = 0
  const connect = async () => {
    const from = performance.now()
    const child = await connectChild('serve', options, { logger, heartbeatLimitMs, signal: closing.signal })
    startMs = performance.now() - from
    return child
  }
  let connection: ChildConnection | null = await connect()
  let { provider } = connection
  const { thoughtLayers } = connection
  let restarts = 0
  /** Whether the last process hung and is not replaced yet. */
  let isHung = false
  /** Counters of the processes that have ended. */
  let pastTotals = zeroCounters()
  let restarting: Promise<void> | null = null
  let backOffMs = MIN_BACK_OFF_MS
  let startedAt = performance.now()
  watch(connection)

  function watch(child: ChildConnection): void {
    void child.exited.then((reason) => {
      pastTotals = addCounters(pastTotals, child.totals())
      connection = null
      isHung = child.isHung()
      if (closing.signal.aborted) return
      logger.error(
        { enginePid: child.pid, reason },
        isHung
          ? 'engine process hung and was killed, starting another'
          : 'engine process died, starting another',
      )
      restarting = restart()
    })
  }

  async function restart(): Promise<void> {
    if (performance.now() - startedAt > HEALTHY_MS) backOffMs = MIN_BACK_OFF_MS
    while (!closing.signal.aborted) {
      try {
        await setTimeout(backOffMs, undefined, { signal: closing.signal })
        backOffMs = Math.min(2 * backOffMs, MAX_BACK_OFF_MS)
        const child = await connect()
        connection = child
        isHung = false
        provider = child.provider
        restarts += 1
        startedAt = performance.now()
        restarting = null
        logger.info({ enginePid: child.pid, restarts }, 'engine process restarted')
        watch(child)
        return
      } catch (thrown) {
        if (closing.signal.aborted) return
        logger.error({ err: coerceError(thrown), backOffMs }, 'engine process did not start, trying again')
      }
    }
  }

  function unavailable(detail: string, retryAfterSeconds: number): ServiceError {
    return new ServiceError(
      'ENGINE_UNAVAILABLE',
      `engine: expected a running engine process, got ${detail}`,
      {
        retryAfterSeconds,
      },
    )
  }

  return {
    state() {
      if (closing.signal.aborted) return 'closed'
      if (connection !== null) return 'ready'
      return isHung ? 'unhealthy' : 'restarting'
    },
    provider: () => provider,
    thoughtLayers,
    restarts: () => restarts,
    totals: () => (connection === null ? pastTotals : addCounters(pastTotals, connection.totals())),
    current: () => connection,
    async connection() {
      if (connection === null && restarting !== null) {
        const timer = new AbortController()
        const wait = setTimeout(RESTART_WAIT_MS + 2 * startMs, undefined, { signal: timer.signal })
        await Promise.race([restarting, wait])
        timer.abort()
      }
      if (closing.signal.aborted) throw unavailable('a closed engine', 1)
      if (connection === null)
        throw unavailable('one that is restarting', Math.ceil(Math.max(backOffMs, startMs) / 1000))
      return connection
    },
    async close() {
      closing.abort()
      await Promise.all([connection?.stop(DRAIN_TIMEOUT_MS), restarting])
      connection = null
    },
  }
}
