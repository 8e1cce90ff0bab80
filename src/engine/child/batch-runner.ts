/**
 * @file Runs a batch of rows on the generation graph, hands each row its share of the outcome, and counts the
 * work.
 */

import { coerceError, ServiceError } from '#errors'
import { BATCH_ROWS_BOUNDS, type EngineCounters, observe, QUEUE_MS_BOUNDS } from '../counters.ts'
import { bytesPerPosition, createFeedMemory, type KvBlock, type KvLayout } from './key-values.ts'
import { isOutOfMemory } from './memory.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { Row } from './row.ts'
import { composeFeeds, type StepOutcome, type StepRow, type StepRunner, splitFetches } from './step-batch.ts'

export interface BatchRunner {
  /**
   * Runs the rows for at most `maxSteps` tokens. If the run fails for want of memory, halves the budget and runs the
   * rows in smaller batches; a row that fails alone is rejected with MEMORY_EXCEEDED. If it fails for another reason,
   * runs each row alone, so that one faulty row does not fail the others; a row that fails alone is rejected with
   * SESSION_FAILED.
   */
  run(rows: readonly Row[], maxSteps: number): Promise<void>
  /** Number of runs so far. */
  runs(): number
  /**
   * Returns the duration of one step in the last run of several tokens with about as many rows, else in the
   * last such run of any size; infinite before the first such run.
   */
  msPerStep(rows: number): number
  /**
   * Returns the duration per token fed in the last run of at least `MIN_TIMED_TOKENS`, else in the last run that
   * fed rows; infinite before the first such run.
   */
  msPerToken(): number
}

export function createBatchRunner(deps: {
  readonly graph: StepRunner
  readonly eosTokenIds: readonly number[]
  readonly counters: EngineCounters
  readonly memory: MemoryBudget
  /** Called after the first run that failed for want of memory, with the budget in bytes from now on. */
  readonly onOutOfMemory: (budget: number, error: Error) => void
  /** Called just before each run with its rows and its expected duration in ms. */
  readonly onRun: (rows: readonly Row[], expectedMs: number) => void
}): BatchRunner {
  const { graph, counters, memory } = deps
  const eosTokenIds = new Set(deps.eosTokenIds)
  const feedMemory = createFeedMemory(graph.layout)
  const collectGarbage = createCollector(graph.layout, memory)
  let runs = 0
  const durations = createDurations()

  async function run(rows: readonly Row[], maxSteps: number): Promise<void> {
    if (rows.length === 0) return
    const steps = Math.min(maxSteps, Math.max(...rows.map(({ remaining }) => remaining)), roomFor(rows))
    const stepRows = rows.map((row) => row.stepRow(steps))
    runs += 1
    for (const row of rows) {
      if (row.isWaiting) observe(counters.queueMs, QUEUE_MS_BOUNDS, performance.now() - row.submittedAt)
      row.isWaiting = false
      row.lastRun = runs
    }
    const inputTokens = rows.length * Math.max(...stepRows.map(({ input }) => input.length))
    const size = { rows: rows.length, inputTokens, steps, isFeeding: inputTokens > rows.length }
    deps.onRun(rows, durations.expected(size))
    let outcomes: StepOutcome[]
    try {
      outcomes = await runSteps(rows, stepRows, size)
    } catch (thrown) {
      await recover(rows, maxSteps, coerceError(thrown))
      return
    }
    rows.forEach((row, index) => {
      advance(row, stepRows[index]!.input.length, outcomes[index]!)
    })
  }

  /** Returns how many steps fit into the width of the graph, which the longest row of each kind fills. */
  function roomFor(rows: readonly Row[]): number {
    if (graph.maxWidth === null) return Number.POSITIVE_INFINITY
    const sizes = rows.map(({ size }) => size)
    const longest = (part: 'covered' | 'input') => Math.max(...sizes.map((size) => size[part]))
    return Math.max(1, graph.maxWidth - longest('covered') - longest('input') + 1)
  }

  async function runSteps(
    rows: readonly Row[],
    stepRows: readonly StepRow[],
    size: RunSize,
  ): Promise<StepOutcome[]> {
    const startedAt = performance.now()
    collectGarbage.whenMuch()
    using feedArrays = feedMemory.take()
    const feeds = composeFeeds(graph, stepRows, size.steps, feedArrays.allocate)
    const composedAt = performance.now()
    const fetches = await graph.run(feeds, {
      hiddenStates: rows.some(({ wantsStates }) => wantsStates),
      thoughtSums: rows.some(({ wantsThought }) => wantsThought),
      signals: rows.some(({ wantsSignals }) => wantsSignals),
      tokenStates: rows.some(({ wantsTokenStates }) => wantsTokenStates),
      present: rows.some(({ wantsCache }) => wantsCache),
    })
    const ranAt = performance.now()
    collectGarbage.made(fetches.present)
    if (feeds.isPastNew) collectGarbage.made(feeds.past)
    durations.add(size, ranAt - startedAt, fetches.emitted)
    counters.generationMs += ranAt - composedAt
    observe(counters.batchRows, BATCH_ROWS_BOUNDS, rows.length)
    return splitFetches(stepRows, feeds, fetches, eosTokenIds)
  }

  async function recover(rows: readonly Row[], maxSteps: number, error: Error): Promise<void> {
    if (isOutOfMemory(error)) {
      await runInLessMemory(rows, maxSteps, error)
      return
    }
    if (rows.length > 1) {
      for (const row of rows) await run([row], maxSteps)
      return
    }
    rows[0]!.fail(
      new ServiceError('SESSION_FAILED', `engine: expected the model to run, got: ${error.message}`, {
        cause: error,
      }),
    )
  }

  async function runInLessMemory(rows: readonly Row[], maxSteps: number, error: Error): Promise<void> {
    const sizes = rows.map(({ size }) => size)
    const budget = memory.halve(sizes)
    counters.outOfMemoryRuns += 1
    if (counters.outOfMemoryRuns === 1) deps.onOutOfMemory(budget, error)
    collectGarbage.now()
    if (rows.length > 1) {
      // A part may fail too, which halves the budget again.
      for (let rest = rows; rest.length > 0; ) {
        const part = firstThatFit(rest, Math.ceil(rows.length / 2))
        await run(part, maxSteps)
        rest = rest.slice(part.length)
      }
      return
    }
    rows[0]!.fail(
      new ServiceError(
        'MEMORY_EXCEEDED',
        `engine: expected memory for a run of one row, ${memory.describe(sizes[0]!)}, got: ${error.message}`,
        { cause: error },
      ),
    )
  }

  function firstThatFit(rows: readonly Row[], maxRows: number): readonly Row[] {
    let count = Math.min(maxRows, rows.length)
    while (!memory.fits(rows.slice(0, count).map(({ size }) => size))) count = Math.ceil(count / 2)
    return rows.slice(0, count)
  }

  function advance(row: Row, fed: number, outcome: StepOutcome): void {
    if (!row.isDecoding || row.awaitsFed) counters.prefillTokens += fed
    const decodedBefore = row.decodedTokens
    row.advance(fed, outcome)
    counters.decodeTokens += row.decodedTokens - decodedBefore
  }

  return { run, runs: () => runs, msPerStep: durations.msPerStep, msPerToken: durations.msPerToken }
}

/**
 * Creates the collection of caches that are no longer used. JavaScript does not see that memory is short, because
 * the caches lie outside its heap; collecting takes some 20 ms.
 */
function createCollector(layout: KvLayout, memory: MemoryBudget) {
  let bytes = 0
  const now = () => {
    bytes = 0
    globalThis.gc?.()
  }
  return {
    now,
    /** Counts a block whose memory a collection may free. */
    made(block: KvBlock | null): void {
      if (block !== null) bytes += block.rows * block.length * bytesPerPosition(layout)
    },
    /** Collects when as many bytes of caches were made as are worth a collection. */
    whenMuch(): void {
      if (bytes >= Math.max(MIN_GARBAGE, Math.min(memory.bytes(), MAX_GARBAGE) / 8)) now()
    },
  }
}

/** Bounds, in bytes, on caches that were made since the last collection: 64 MiB, and an eighth of 8 GiB. */
const MIN_GARBAGE = 2 ** 26
const MAX_GARBAGE = 2 ** 33

interface RunSize {
  readonly rows: number
  /** Tokens fed, padding included. */
  readonly inputTokens: number
  /** Upper bound on the tokens that a row may emit. */
  readonly steps: number
  /** Whether the run feeds tokens that are not cached; else all its rows decode. */
  readonly isFeeding: boolean
}

/** Expected duration of the first run of a kind, which loads what later runs find loaded. */
const FIRST_RUN_MS = 20_000

/** Tokens fed by a run from which on its duration shows the cost of a token; shorter runs cost what any run costs. */
const MIN_TIMED_TOKENS = 32

/** Creates a forecast of the duration of a run from the last run of its kind. */
function createDurations() {
  let msPerToken = Number.POSITIVE_INFINITY
  let isTimed = false
  let last = { rows: 1, msPerStep: Number.POSITIVE_INFINITY }
  /** The last decoding run by the magnitude of its rows: runs of one row and of many alternate. */
  const byMagnitude = new Map<number, typeof last>()
  const magnitude = (rows: number) => Math.ceil(Math.log2(rows))
  const lastLike = (rows: number) => byMagnitude.get(magnitude(rows)) ?? last

  return {
    msPerStep: (rows: number) => lastLike(rows).msPerStep,
    msPerToken: () => msPerToken,
    /** Returns an upper estimate: a run of more rows takes at most as many times as long. */
    expected({ rows, inputTokens, steps, isFeeding }: RunSize): number {
      const like = lastLike(rows)
      const growth = Math.max(1, rows / like.rows)
      const ms = isFeeding ? inputTokens * msPerToken : steps * like.msPerStep * growth
      return Number.isFinite(ms) ? ms : FIRST_RUN_MS
    },
    add({ rows, inputTokens, isFeeding }: RunSize, ms: number, emitted: number): void {
      if (isFeeding) {
        if (isTimed && inputTokens < MIN_TIMED_TOKENS) return
        msPerToken = ms / inputTokens
        isTimed = inputTokens >= MIN_TIMED_TOKENS
      } else {
        last = { rows, msPerStep: ms / emitted }
        byMagnitude.set(magnitude(rows), last)
      }
    },
  }
}
