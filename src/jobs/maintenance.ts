/** @file Periodic maintenance. Each task is idempotent: several workers may run it at the same time. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type ConsolidationStore, pruneArtifacts, pruneSteps } from '#artifacts'
import { type Database, query, vacuumEmbedded } from '#database'
import {
  createEmbeddingProjections,
  type Outbox,
  projectBite,
  pruneDeletions,
  pruneEpisodes,
  pruneExcessEpisodes,
} from '#episodes'
import { coerceError } from '#errors'
import { throttleLog } from '#throttle-log'
import { DELETE_OLD_SOLUTIONS, RELAY_SOLUTIONS_AGAIN } from './solution-store.ts'

const INTERVAL_MS = 60_000
/** Age from which a job is handed over again under its old id, which a queue that still has the job ignores. */
const RELAY_AGAIN_AFTER_MS = 2 * 60_000
const MAX_ROWS_RELAYED_AGAIN = 1_000
/** Age from which a job gets a new id: longer than all its retries take. */
const LOST_AFTER_MS = 15 * 60_000
/** Difference between two clocks from which one of them must be wrong. */
const MAX_CLOCK_DIFFERENCE_MS = 3_600_000
const OUTBOX_TTL_MS = 24 * 3_600_000
const DAY_MS = 24 * 3_600_000
/** Time between two rounds for the projections of old episodes: other tasks never wait for them. */
const PROJECTING_MS = INTERVAL_MS - 10_000
/** Counters of limits of keys that ended over an hour ago, by the clock of the database. */
const DELETE_COUNTERS = 'delete from limit_counters where expire < (extract(epoch from now()) - 3600) * 1000'
const DELETE_IDEMPOTENCY_KEYS = "delete from idempotency_keys where created_at < now() - interval '24 h'"
const DELETE_CALLS = "delete from audit_log where at < now() - $1 * interval '1 day'"
/** Shortest pause after a bite of them. */
const MIN_PAUSE_MS = 10

export interface MaintenanceParts {
  readonly database: Pick<Database, 'pool' | 'kind'>
  readonly outbox: Pick<Outbox, 'relayAgain' | 'recover' | 'prune'>
  readonly consolidations?: Pick<ConsolidationStore, 'recover'> | undefined
  /** Requests the consolidations that are due. */
  readonly requestConsolidations?: (() => Promise<void>) | undefined
  /** Rolls back versions whose live outcomes have fallen. */
  readonly watchHealth?: (() => Promise<void>) | undefined
  /** Days after which episodes are deleted; 0 keeps them. */
  readonly episodeTtlDays: number
  /** Number of episodes that a tenant keeps of one model; 0 keeps all. */
  readonly episodeCapacity: number
  /** Days after which records of calls of operators are deleted; 0 keeps them. */
  readonly auditTtlDays: number
  readonly logger: Logger
  /** Returns milliseconds since the epoch, by the clock of this process. */
  readonly clock?: () => number
}

/**
 * Starts maintenance, at once and then every minute: enqueues lost jobs again, deletes old outbox rows and
 * old episodes, the bytes of old artifacts, the records of old consolidations and deletions, idempotency
 * keys, solutions and ended counters, fills in the projections of episodes of earlier releases, vacuums the
 * embedded database, rolls back versions whose live outcomes have fallen, requests consolidations that are
 * due.
 */
export function startMaintenance({
  database,
  outbox,
  consolidations,
  requestConsolidations,
  watchHealth,
  episodeTtlDays,
  episodeCapacity,
  auditTtlDays,
  logger,
  clock = Date.now,
}: MaintenanceParts): { close(): Promise<void> } {
  const stopping = new AbortController()
  const log = throttleLog(logger)
  const projections = createEmbeddingProjections(database)

  const tasks: Readonly<Record<string, () => Promise<void>>> = {
    async 'recovery of jobs'() {
      const recovered = await outbox.recover(LOST_AFTER_MS)
      if (recovered > 0) log.warn('recovered', { recovered }, 'jobs of episodes lost: enqueued again')
    },
    async 'second hand-over of jobs'() {
      await outbox.relayAgain({
        olderThanMs: RELAY_AGAIN_AFTER_MS,
        untilMs: LOST_AFTER_MS,
        limit: MAX_ROWS_RELAYED_AGAIN,
      })
    },
    async 'recovery of consolidations'() {
      const resumed = await consolidations?.recover(RELAY_AGAIN_AFTER_MS)
      if (resumed) logger.debug({ resumed }, 'unfinished consolidations: jobs handed over again')
    },
    async 'deletion of old outbox rows'() {
      await outbox.prune(OUTBOX_TTL_MS)
    },
    async 'deletion of old episodes'() {
      if (episodeTtlDays > 0) await deleteOld()
    },
    async 'deletion of episodes beyond the capacity'() {
      if (episodeCapacity === 0) return
      const pruned = await pruneExcessEpisodes(database, episodeCapacity)
      if (pruned > 0) logger.info({ pruned, episodeCapacity }, 'episodes beyond the capacity deleted')
    },
    async 'deletion of old artifacts'() {
      const pruned = await pruneArtifacts(database)
      if (pruned > 0) logger.info({ pruned }, 'bytes of old artifacts deleted')
    },
    async 'deletion of old step records'() {
      await pruneSteps(database)
    },
    async 'deletion of old records of calls'() {
      if (auditTtlDays > 0) await query(database, 'delete calls', DELETE_CALLS, [auditTtlDays])
    },
    async 'second hand-over of solutions'() {
      await query(database, 'relay solutions again', RELAY_SOLUTIONS_AGAIN)
    },
    async 'deletion of old solutions'() {
      await query(database, 'delete solutions', DELETE_OLD_SOLUTIONS)
    },
    async 'deletion of old idempotency keys'() {
      await query(database, 'delete idempotency keys', DELETE_IDEMPOTENCY_KEYS)
    },
    async 'deletion of ended counters of limits'() {
      await query(database, 'delete counters', DELETE_COUNTERS)
    },
    async 'deletion of old records of deletions'() {
      await pruneDeletions(database)
    },
    async vacuum() {
      const tables = await vacuumEmbedded(database)
      if (tables > 0) logger.debug({ tables }, 'tables of the embedded database vacuumed')
    },
    async 'watch of live outcomes'() {
      await watchHealth?.()
    },
    async 'requests of due consolidations'() {
      await requestConsolidations?.()
    },
  }

  /** Runs a task, which has a throttled warning of its own. */
  async function attempt(task: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (thrown) {
      log.warn(`failed: ${task}`, { err: coerceError(thrown), task }, `maintenance: ${task} failed`)
    }
  }

  /** Deletes old episodes by the database's clock: a wrong clock of one worker must not delete them all. */
  async function deleteOld(): Promise<void> {
    const sql = 'select (extract(epoch from now()) * 1000)::float8 as now'
    const { rows } = await query<{ now: number }>(database, 'read clock', sql)
    const now = rows[0]?.now ?? Number.NaN
    const differenceMs = clock() - now
    if (!(Math.abs(differenceMs) <= MAX_CLOCK_DIFFERENCE_MS)) {
      log.warn(
        'clock',
        { differenceMs },
        'clocks of worker and database differ by more than an hour: old episodes are kept',
      )
      return
    }
    const pruned = await pruneEpisodes(database, new Date(now - episodeTtlDays * DAY_MS))
    if (pruned > 0) logger.info({ pruned, episodeTtlDays }, 'old episodes deleted')
  }

  /** Pauses for as long as each bite took, so that it takes at most half of the time of one connection. */
  async function projectOld(): Promise<void> {
    const started = performance.now()
    let projected = 0
    while (!stopping.signal.aborted && performance.now() - started < PROJECTING_MS) {
      const from = performance.now()
      const episodes = await projectBite(database, projections)
      if (episodes === 0) break
      projected += episodes
      await pause(Math.max(MIN_PAUSE_MS, performance.now() - from))
    }
    if (projected > 0) logger.info({ projected }, 'episodes of an earlier release: projections filled in')
  }

  const pause = (ms: number) => delay(ms, undefined, { signal: stopping.signal }).catch(() => {})

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      for (const [task, work] of Object.entries(tasks)) await attempt(task, work)
      const next = pause(INTERVAL_MS)
      await attempt('projection of old episodes', projectOld)
      await next
    }
  }

  const running = run()
  return {
    close: () => {
      stopping.abort()
      return running
    },
  }
}
