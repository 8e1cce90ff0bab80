/** @file Metrics of the engine: its current load, and the work of its processes since the start. */

import { Counter, Gauge, type Metric, type Registry } from 'prom-client'
import { BATCH_ROWS_BOUNDS, type Engine, type EngineStatus, type Histogram, QUEUE_MS_BOUNDS } from '#engine'

/** Registers metrics that read the status of the engine at every scrape. */
export function registerEngineMetrics(registry: Registry, engine: Pick<Engine, 'model' | 'status'>): void {
  const { gauge, counter } = createRegistrar(registry, engine)
  new Gauge({
    name: 'circadian:engine_info',
    help: 'Always 1; the labels name the model and the execution provider.',
    labelNames: ['provider', 'fingerprint'],
    registers: [registry],
    collect() {
      this.reset()
      this.set({ provider: engine.status().provider, fingerprint: engine.model.fingerprint }, 1)
    },
  })
  gauge('engine_replicas', 'Configured number of engine processes.', ({ replicas }) => replicas.length)
  gauge(
    'engine_replicas_ready',
    'Engine processes that are ready.',
    ({ replicas }) => replicas.filter(({ state }) => state === 'ready').length,
  )
  gauge(
    'engine_replicas_unhealthy',
    'Engine processes that did not answer, were killed, and are not replaced yet.',
    ({ replicas }) => replicas.filter(({ state }) => state === 'unhealthy').length,
  )
  gauge(
    'engine_heartbeat_age_seconds',
    'Greatest time since the last message of a running engine process, which answers a ping each second.',
    ({ heartbeatAgeMs }) => (heartbeatAgeMs ?? 0) / 1000,
  )
  counter(
    'engine_restarts_total',
    'Engine processes started to replace one that exited.',
    ({ restarts }) => restarts,
  )
  gauge('num_rows_running', 'Rows in a batch.', ({ runningRows }) => runningRows)
  gauge('num_rows_waiting', 'Rows that wait for a batch.', ({ waitingRows }) => waitingRows)
  gauge(
    'kv_cache_usage_bytes',
    'Size of the keys and values in the cache of the engine process, in bytes.',
    ({ cacheBytes }) => cacheBytes,
  )
  gauge(
    'kv_cached_sequences',
    'Sequences whose keys and values are cached.',
    ({ cachedSequences }) => cachedSequences,
  )
  gauge(
    'kv_kept_prompts',
    'Prompts kept in the cache for requests with the same prefix.',
    ({ keptPrompts }) => keptPrompts,
  )
  counter(
    'prefix_cache_hits_total',
    'Prompts that reused a prefix of a kept prompt.',
    ({ totals }) => totals.prefixHits,
  )
  counter(
    'prefix_cache_tokens_total',
    'Tokens of reused prefixes, which were not fed again.',
    ({ totals }) => totals.prefixTokensReused,
  )
  counter(
    'prefill_tokens_total',
    'Tokens fed: prompts, changed prefixes, verdicts; without padding.',
    ({ totals }) => totals.prefillTokens,
  )
  counter('decode_tokens_total', 'Tokens decoded.', ({ totals }) => totals.decodeTokens)
  counter(
    'generation_run_seconds_total',
    'Time spent in runs of the generation graph.',
    ({ totals }) => totals.generationMs / 1000,
  )
  counter(
    'head_run_seconds_total',
    'Time spent in runs of the head graphs: updates of latents, verdict logits.',
    ({ totals }) => totals.headMs / 1000,
  )
  counter(
    'engine_out_of_memory_total',
    'Runs of the generation graph that failed for want of memory, and were tried again in smaller batches.',
    ({ totals }) => totals.outOfMemoryRuns,
  )
  registerHistograms(registry, engine)
}

/** Creates the functions that register a metric, read from the status of the engine at every scrape. */
function createRegistrar(registry: Registry, engine: Pick<Engine, 'status'>) {
  const registers = [registry]

  function gauge(name: string, help: string, read: (status: EngineStatus) => number): void {
    new Gauge({
      name: `circadian:${name}`,
      help,
      registers,
      collect() {
        this.set(read(engine.status()))
      },
    })
  }

  function counter(name: string, help: string, read: (status: EngineStatus) => number): void {
    new Counter({
      name: `circadian:${name}`,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read(engine.status()))
      },
    })
  }

  return { gauge, counter }
}

function registerHistograms(registry: Registry, engine: Pick<Engine, 'status'>): void {
  registerReported(registry, {
    name: 'circadian:batch_rows',
    help: 'Rows per run of the generation graph.',
    bounds: BATCH_ROWS_BOUNDS,
    read: () => engine.status().totals.batchRows,
  })
  registerReported(registry, {
    name: 'circadian:row_queue_time_seconds',
    help: 'Time that each row waited in the engine process for its first run.',
    bounds: QUEUE_MS_BOUNDS.map((bound) => bound / 1000),
    read: () => {
      const { counts, sum } = engine.status().totals.queueMs
      return { counts, sum: sum / 1000 }
    },
  })
}

interface ReportedHistogram {
  readonly name: string
  readonly help: string
  readonly bounds: readonly number[]
  readonly read: () => Histogram
}

/**
 * Registers a histogram whose counts the engine keeps; prom-client's class accepts only single observations.
 */
function registerReported(registry: Registry, { name, help, bounds, read }: ReportedHistogram): void {
  const metric = {
    name,
    get: async () => {
      const { counts, sum } = read()
      let count = 0
      const values: { metricName: string; labels: object; value: number }[] = []
      for (const [bucket, inBucket] of counts.entries()) {
        count += inBucket
        values.push({
          metricName: `${name}_bucket`,
          labels: { le: bounds[bucket] ?? '+Inf' },
          value: count,
        })
      }
      values.push(
        { metricName: `${name}_sum`, labels: {}, value: sum },
        { metricName: `${name}_count`, labels: {}, value: count },
      )
      return { name, help, type: 'histogram', aggregator: 'sum', values }
    },
  }
  // The types of prom-client require one of its classes; its code only needs a name and values.
  registry.registerMetric(metric as unknown as Metric)
}
