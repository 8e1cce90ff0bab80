/** @file What engine processes have done so far: counts that only grow, also over the death of a process. */

/** A histogram: how many observations fell into each bucket (the last has no upper bound), and their sum. */
export interface Tally {
  readonly counts: number[]
  sum: number
}

export interface EngineTotals {
  /** Tokens of prompts, prefixes and verdicts that were fed; padding and tokens fed back while decoding do not count. */
  prefillTokens: number
  decodeTokens: number
  /** Prompts that began like an earlier one whose cache was still here, and their tokens that were not fed for it. */
  prefixHits: number
  prefixTokensReused: number
  /** Milliseconds in runs of the generation graph, and of all others: the head graphs and graphs loaded beside the model. */
  generationMs: number
  headMs: number
  /** Rows of each run of the generation graph. */
  readonly batchRows: Tally
  /** Milliseconds that each row waited for its first run. */
  readonly queueMs: Tally
}

/** Upper bounds, included, of the buckets of `batchRows`. */
export const BATCH_ROWS_BOUNDS: readonly number[] = [1, 2, 4, 8, 16, 32, 64]
/** Upper bounds, included, of the buckets of `queueMs`. */
export const QUEUE_MS_BOUNDS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
]

export function noTotals(): EngineTotals {
  return {
    prefillTokens: 0,
    decodeTokens: 0,
    prefixHits: 0,
    prefixTokensReused: 0,
    generationMs: 0,
    headMs: 0,
    batchRows: emptyTally(BATCH_ROWS_BOUNDS),
    queueMs: emptyTally(QUEUE_MS_BOUNDS),
  }
}

export function addTotals(a: EngineTotals, b: EngineTotals): EngineTotals {
  return {
    prefillTokens: a.prefillTokens + b.prefillTokens,
    decodeTokens: a.decodeTokens + b.decodeTokens,
    prefixHits: a.prefixHits + b.prefixHits,
    prefixTokensReused: a.prefixTokensReused + b.prefixTokensReused,
    generationMs: a.generationMs + b.generationMs,
    headMs: a.headMs + b.headMs,
    batchRows: addTallies(a.batchRows, b.batchRows),
    queueMs: addTallies(a.queueMs, b.queueMs),
  }
}

/** @param bounds of the tally's buckets */
export function observe(tally: Tally, bounds: readonly number[], value: number): void {
  const bucket = bounds.findIndex((bound) => value <= bound)
  tally.counts[bucket === -1 ? bounds.length : bucket]! += 1
  tally.sum += value
}

function emptyTally(bounds: readonly number[]): Tally {
  return { counts: Array<number>(bounds.length + 1).fill(0), sum: 0 }
}

function addTallies(a: Tally, b: Tally): Tally {
  return { counts: a.counts.map((count, bucket) => count + b.counts[bucket]!), sum: a.sum + b.sum }
}
