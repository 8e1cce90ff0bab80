/** @file Metrics of the background work: figures of all processes from the database, jobs of this process. */

import { setTimeout as delay } from 'node:timers/promises'
import { Counter, type Metric, type Registry } from 'prom-client'
import type { Backlog, JobObservation } from '#jobs'

/** Several scrapers, and several processes, ask the same database. */
const CACHE_MS = 10_000
/** A database that hangs must not make the scrape fail. */
const READ_TIMEOUT_MS = 2_000

/** Registers the figures of the database. While it does not answer, they have no sample. */
export function registerBacklogMetrics(
  registry: Registry,
  read: () => Promise<Backlog>,
  { clock = () => performance.now() }: { readonly clock?: () => number } = {},
): void {
  let cached: { readonly until: number; readonly backlog: Promise<Backlog | null> } | null = null

  function backlog(): Promise<Backlog | null> {
    if (cached === null || clock() >= cached.until)
      cached = { until: clock() + CACHE_MS, backlog: orNull(read) }
    return cached.backlog
  }

  function register(
    type: 'gauge' | 'counter',
    name: string,
    help: string,
    value: (backlog: Backlog) => number | null,
  ): void {
    const metric = {
      name: `circadian:${name}`,
      async get() {
        const known = await backlog()
        const sample = known === null ? null : value(known)
        const values = sample === null ? [] : [{ labels: {}, value: sample }]
        return { name: `circadian:${name}`, help, type, aggregator: 'max', values }
      },
    }
    // The types of prom-client require one of its classes; its code only needs a name and values.
    registry.registerMetric(metric as unknown as Metric)
  }

  register('gauge', 'outbox_rows', 'Rows of the outbox that wait for the relay.', (b) => b.outboxRows)
  register(
    'gauge',
    'outbox_age_seconds',
    'Age of the oldest row of the outbox that waits for the relay; 0 when none waits.',
    (b) => b.outboxAgeSeconds,
  )
  register('gauge', 'episodes_pending', 'Episodes that wait for their labels.', (b) => b.episodesPending)
  register(
    'gauge',
    'consolidation_last_success_timestamp_seconds',
    'Time of the end of the last consolidation that did not fail; no sample before the first.',
    (b) => b.lastSuccessSeconds,
  )
  register(
    'gauge',
    'consolidation_last_duration_seconds',
    'Time from start to end of the last consolidation; no sample before the first.',
    (b) => b.lastDurationSeconds,
  )
  register(
    'counter',
    'consolidations_failed_total',
    'Consolidations that failed.',
    (b) => b.consolidationsFailed,
  )
  register(
    'counter',
    'rollbacks_total',
    'Versions that were rolled back by themselves, because their live outcomes had fallen.',
    (b) => b.rollbacks,
  )
  register(
    'gauge',
    'deletion_idle_seconds',
    'Longest time since an unfinished deletion was requested or last erased rows; 0 without one.',
    (b) => b.deletionIdleSeconds,
  )
}

/** Registers the jobs of this process. @returns function that counts one */
export function registerJobMetrics(registry: Registry): (observation: JobObservation) => void {
  const jobs = new Counter({
    name: 'circadian:jobs_total',
    help: 'Jobs that this process has run, by outcome.',
    labelNames: ['name', 'outcome'],
    registers: [registry],
  })
  for (const name of ['episode.index', 'consolidation.run', 'night.due'])
    for (const outcome of ['completed', 'retried', 'failed', 'requeued']) jobs.inc({ name, outcome }, 0)
  return (observation) => jobs.inc({ ...observation })
}

async function orNull(read: () => Promise<Backlog>): Promise<Backlog | null> {
  const answered = new AbortController()
  try {
    return await Promise.race([read(), delay(READ_TIMEOUT_MS, null, { signal: answered.signal })])
  } catch {
    return null
  } finally {
    answered.abort()
  }
}
