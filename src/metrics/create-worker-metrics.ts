/** @file Creates the registry with all metrics of the worker process. */

import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Exposition } from '#http'
import type { Backlog, JobObservation } from '#jobs'
import { registerBacklogMetrics, registerJobMetrics } from './backlog-metrics.ts'
import { exposition } from './create-metrics.ts'
import {
  type Dependencies,
  type PoolCounts,
  registerDependencyMetrics,
  registerPoolMetrics,
} from './dependency-metrics.ts'

export interface WorkerMetrics {
  /** Counts one job. */
  observeJob(observation: JobObservation): void
  /** Returns all metrics in Prometheus text format. */
  expose(): Promise<Exposition>
}

/** Creates the registry. Its names are those of the API process; the worker has no model to label them with. */
export function createWorkerMetrics({
  pool,
  readBacklog,
  dependencies,
}: {
  readonly pool: PoolCounts
  readonly readBacklog: () => Promise<Backlog>
  readonly dependencies: Dependencies
}): WorkerMetrics {
  const registry = new Registry()
  registerBacklogMetrics(registry, readBacklog)
  registerDependencyMetrics(registry, dependencies)
  registerPoolMetrics(registry, pool)
  const observeJob = registerJobMetrics(registry)
  collectDefaultMetrics({ register: registry })
  return { observeJob, expose: () => exposition(registry) }
}
