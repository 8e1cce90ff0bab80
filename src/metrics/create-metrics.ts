/** @file Creates the registry with all metrics of the API process. */

import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import type { Engine } from '#engine'
import type { Exposition, RequestObservation } from '#http'
import type { Backlog, JobObservation } from '#jobs'
import type { ArtifactWatcher } from '#serving'
import type { Solver } from '#solving'
import { registerBacklogMetrics, registerJobMetrics } from './backlog-metrics.ts'
import {
  type Dependencies,
  type PoolCounts,
  registerDependencyMetrics,
  registerPoolMetrics,
} from './dependency-metrics.ts'
import { registerEngineMetrics } from './engine-metrics.ts'
import { registerSolveMetrics } from './solve-metrics.ts'
import { registerTrainedModelMetrics } from './trained-model-metrics.ts'

export interface Metrics {
  /** Wraps a solver so that every solve is measured. */
  watch(solver: Solver): Solver
  /** Records one HTTP request. */
  observeRequest(observation: RequestObservation): void
  /** Counts one job. */
  observeJob(observation: JobObservation): void
  /** Returns all metrics in Prometheus text format. */
  expose(): Promise<Exposition>
}

const REQUEST_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
]

/**
 * Creates the registry. Names follow those of vLLM (`circadian:` for `vllm:`); process metrics have the
 * names of prom-client. Every series has the label `model_name`. No label takes a value that a caller can
 * make up.
 */
export function createMetrics({
  engine,
  trainedModels,
  dependencies = {},
  pool,
  readBacklog,
}: {
  readonly engine: Pick<Engine, 'model' | 'status'>
  readonly trainedModels: Pick<ArtifactWatcher, 'status' | 'isFrozen'>
  readonly dependencies?: Dependencies
  readonly pool: PoolCounts
  readonly readBacklog: () => Promise<Backlog>
}): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ model_name: engine.model.id })
  const watch = registerSolveMetrics(registry, engine)
  registerEngineMetrics(registry, engine)
  registerTrainedModelMetrics(registry, trainedModels)
  registerDependencyMetrics(registry, dependencies)
  registerPoolMetrics(registry, pool)
  registerBacklogMetrics(registry, readBacklog)
  const observeJob = registerJobMetrics(registry)
  const requests = new Histogram({
    name: 'circadian:http_request_duration_seconds',
    help: 'Time from the headers of an HTTP request to the end of its response.',
    labelNames: ['method', 'route', 'status'],
    buckets: REQUEST_SECONDS,
    registers: [registry],
  })
  collectDefaultMetrics({ register: registry })
  return {
    watch,
    observeRequest: ({ seconds, ...labels }) => requests.observe(labels, seconds),
    observeJob,
    expose: () => exposition(registry),
  }
}

export async function exposition(registry: Registry): Promise<Exposition> {
  // prom-client writes `Nan`, which is not valid.
  const text = (await registry.metrics()).replaceAll(/ Nan$/gm, ' NaN')
  return { contentType: registry.contentType, text }
}
