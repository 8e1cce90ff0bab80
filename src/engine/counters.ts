/** @file Counters of the work of engine processes. They only grow, also over the death of a process. */

/** Number of observations per bucket (the last has no upper bound), and the sum of the observed values. */
export interface Histogram {
  readonly counts: number[]
  sum: number
}

export interface EngineCounters {
  /**
   * Tokens fed for prompts, prefixes and verdicts; padding and tokens fed back while decoding do not count.
   */
  prefillTokens: number
  decodeTokens: number
  /**
   * Prompts that began like an earlier prompt with a kept cache, and their tokens that were not fed for this
   * reason.
   */
  prefixHits: number
  prefixTokensReused: number
  /**
   * Milliseconds in runs of the generation graph, and in all other runs: the head graphs and the graphs
   * loaded beside the model.
   */
  generationMs: number
  headMs: number
  /** Runs of the generation graph that failed for want of memory. */
  outOfMemoryRuns: number
  /** Number of rows of each run of the generation graph. */
  readonly batchRows: Histogram
  /** Milliseconds that each row waited for its first run. */
  readonly queueMs: Histogram
}

/** Upper bounds, inclusive, of the buckets of `batchRows`. */
export const BATCH_ROWS_BOUNDS: readonly number[] = [1, 2, 4, 8, 16, 32, 64]
/** Upper bounds, inclusive, of the buckets of `queueMs`. */
export const QUEUE_MS_BOUNDS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
]

export function zeroCounters(): EngineCounters {
  return {
    prefillTokens: 0,
    decodeTokens: 0,
    prefixHits: 0,
    prefixTokensReused: 0,
    generationMs: 0,
    headMs: 0,
    outOfMemoryRuns: 0,
    batchRows: emptyHistogram(BATCH_ROWS_BOUNDS),
    queueMs: emptyHistogram(QUEUE_MS_BOUNDS),
  }
}

export function addCounters(a: EngineCounters, b: EngineCounters): EngineCounters {
  return {
    prefillTokens: a.prefillTokens + b.prefillTokens,
    decodeTokens: a.decodeTokens + b.decodeTokens,
    prefixHits: a.prefixHits + b.prefixHits,
    prefixTokensReused: a.prefixTokensReused + b.prefixTokensReused,
    generationMs: a.generationMs + b.generationMs,
    headMs: a.headMs + b.headMs,
    outOfMemoryRuns: a.outOfMemoryRuns + b.outOfMemoryRuns,
    batchRows: addHistograms(a.batchRows, b.batchRows),
    queueMs: addHistograms(a.queueMs, b.queueMs),
  }
}

/** Counts a value. @param bounds upper bounds of the histogram's buckets */
export function observe(histogram: Histogram, bounds: readonly number[], value: number): void {
  const bucket = bounds.findIndex((bound) => value <= bound)
  histogram.counts[bucket === -1 ? bounds.length : bucket]! += 1
  histogram.sum += value
}

function emptyHistogram(bounds: readonly number[]): Histogram {
  return { counts: Array<number>(bounds.length + 1).fill(0), sum: 0 }
}

function addHistograms(a: Histogram, b: Histogram): Histogram {
  return { counts: a.counts.map((count, bucket) => count + b.counts[bucket]!), sum: a.sum + b.sum }
}
