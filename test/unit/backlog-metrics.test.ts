import { afterEach, expect, test, vi } from 'vitest'
import type { Backlog } from '#jobs'
import { createWorkerMetrics } from '#metrics'
import { noBacklog, noPool, parseExposition, total } from '../support/exposition.ts'

afterEach(() => vi.useRealTimers())

function metricsOf(read: () => Promise<Backlog>) {
  const { expose, observeJob } = createWorkerMetrics({
    pool: noPool,
    readBacklog: read,
    dependencies: { queue: () => false },
  })
  return { observeJob, read: async () => parseExposition((await expose()).text) }
}

test('exposes the figures of the database and the jobs of the process', async () => {
  const { read, observeJob } = metricsOf(async () => ({
    ...(await noBacklog()),
    outboxRows: 3,
    outboxAgeSeconds: 4.5,
    episodesPending: 7,
    consolidationsFailed: 2,
    rollbacks: 1,
    deletionIdleSeconds: 90,
  }))
  observeJob({ name: 'episode.index', outcome: 'retried' })
  const metrics = await read()
  for (const [name, value] of [
    ['outbox_rows', 3],
    ['outbox_age_seconds', 4.5],
    ['episodes_pending', 7],
    ['consolidation_last_success_timestamp_seconds', 1_790_000_000],
    ['consolidation_last_duration_seconds', 25],
    ['consolidations_failed_total', 2],
    ['rollbacks_total', 1],
    ['deletion_idle_seconds', 90],
    ['jobs_total', 1],
    ['dependency_up', 0],
  ] as const)
    expect(total(metrics, `circadian:${name}`), name).toBe(value)
  expect(total(metrics, 'circadian:jobs_total', { name: 'episode.index', outcome: 'retried' })).toBe(1)
})

test('asks the database at most once in ten seconds', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const ask = vi.fn(noBacklog)
  const { read } = metricsOf(ask)
  await Promise.all([read(), read()])
  vi.advanceTimersByTime(9_900)
  await read()
  expect(ask).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(200)
  await read()
  expect(ask).toHaveBeenCalledTimes(2)
})

test.each([
  ['fails', () => Promise.reject(new Error('away'))],
  ['hangs', () => new Promise<never>(() => {})],
])('has no sample, and does not fail, while the database %s', async (_name, ask) => {
  const { read } = metricsOf(ask)
  const metrics = await read()
  expect(metrics.get('circadian:outbox_rows')?.samples).toEqual([])
  expect(metrics.get('circadian:consolidations_failed_total')?.samples).toEqual([])
  expect(metrics.get('circadian:jobs_total')?.samples).not.toEqual([])
})

test('has no time of a night before the first', async () => {
  const { read } = metricsOf(async () => ({
    ...(await noBacklog()),
    lastSuccessSeconds: null,
    lastDurationSeconds: null,
  }))
  const metrics = await read()
  expect(metrics.get('circadian:consolidation_last_success_timestamp_seconds')?.samples).toEqual([])
  expect(total(metrics, 'circadian:outbox_rows')).toBe(0)
})
