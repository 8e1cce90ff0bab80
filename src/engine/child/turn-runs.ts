/**
 * @file The runs of a turn: divides rows into batches, chooses which of them run, and how many tokens they decode.
 *
 * Quick rows come first: those that two runs bring to the end of their feeding (verdicts, short prompts, the last
 * pieces of long ones) or one run to their first token. Whenever they have had `MAX_QUICK_RUNS` and `runMs`, the
 * others have one: a chunk of decoding, or a piece of a long prompt. A short request that arrives therefore waits for
 * the run in progress, and for one run more when other quick rows came before it. A call that only feeds (an
 * embedding, a verdict) is often followed by another of the same request: it is awaited for a moment before a long
 * chunk.
 */

import type { BatchRunner } from './batch-runner.ts'
import { type BatchLimits, formBatches } from './form-batches.ts'
import type { Linger } from './linger.ts'
import type { Row } from './row.ts'
import type { RowQueue } from './row-queue.ts'

/** Two pieces of a short prompt, and its first token. */
const MAX_QUICK_RUNS = 3

/** Bounds on the tokens of a decoding run, which takes as many as fit into `runMs`. */
export interface ChunkLimits {
  readonly chunkTokens: readonly [min: number, max: number]
  /** Time, in ms, that a run aims at. */
  readonly runMs: number
}

export interface TurnRuns {
  /** Takes one turn: one run, or a moment of waiting. */
  take(rows: readonly Row[], limits: ChunkLimits): Promise<void>
  /** Feeds rows in one run of at most `maxTokens` where the first row allows it; the others wait. */
  feedSome(rows: readonly Row[], maxTokens: number): Promise<void>
  /**
   * Decodes a chunk of the rows of one batch: batches alternate. The chunk ends when the first of the rows will
   * be stopped, because nothing ends a run that has begun.
   */
  decode(rows: readonly Row[], limits: ChunkLimits): Promise<void>
}

export function createTurnRuns({
  batches,
  queue,
  limits,
  linger,
}: {
  readonly batches: BatchRunner
  readonly queue: RowQueue
  readonly limits: BatchLimits
  readonly linger: Linger
}): TurnRuns {
  /** Runs of quick rows since the last run of others. */
  let quick = { runs: 0, ms: 0 }
  /** Whether the last run answered a call that only feeds, and no wait followed yet. */
  let mayLinger = false
  let hasFed = false

  const batchesOf = (rows: readonly Row[], maxInputTokens = limits.maxInputTokens) => {
    const groups = Map.groupBy(rows, ({ isolated, session }) => (isolated ? session : null))
    return [...groups.values()].flatMap((group) =>
      formBatches(group, ({ size }) => size, { ...limits, maxInputTokens }),
    )
  }

  async function run(rows: readonly Row[], maxSteps: number): Promise<void> {
    await batches.run(
      rows.filter(({ isSettled }) => !isSettled),
      maxSteps,
    )
    queue.dropSettled()
  }

  async function runQuick(rows: readonly Row[]): Promise<void> {
    const startedAt = performance.now()
    const batch = batchesOf(rows)[0]!
    await run(batch, 1)
    mayLinger = batch.some((row) => !row.decodes && row.isSettled)
    quick = { runs: quick.runs + 1, ms: quick.ms + performance.now() - startedAt }
  }

  /**
   * Returns the tokens of a chunk of `rows` rows: the least number that takes `runMs`. Each run copies the caches once
   * more, which costs 15 ms beside a step of 52 ms for 16 rows of an int4 model of half a billion weights, unless its
   * graph keeps the past.
   */
  function chunkSteps(rows: number, { chunkTokens: [min, max], runMs }: ChunkLimits): number {
    return Math.min(max, Math.max(min, Math.ceil(runMs / batches.msPerStep(rows))))
  }

  async function decode(candidates: readonly Row[], chunk: ChunkLimits): Promise<void> {
    const rows = leastRecent(batchesOf(candidates))
    const msPerStep = batches.msPerStep(rows.length)
    const steps = chunkSteps(rows.length, chunk)
    const leftMs = Math.min(...rows.map(({ stopAt }) => stopAt)) - performance.now()
    const isBounded = Number.isFinite(leftMs) && Number.isFinite(msPerStep)
    await run(rows, isBounded ? Math.min(steps, Math.max(1, Math.floor(leftMs / msPerStep))) : steps)
  }

  return {
    async take(rows, chunk) {
      const decoding = rows.filter((row) => row.isDecoding)
      // A run for the first tokens alone pays only while others would make them wait for a long chunk.
      const isLongChunk =
        chunkSteps(decoding.length, chunk) * batches.msPerStep(decoding.length) > chunk.runMs / 2 &&
        decoding.some((row) => !row.isFirstToken)
      const isQuick = (row: Row) => (row.isDecoding ? row.isFirstToken && isLongChunk : row.isShort)
      const others = rows.filter((row) => !isQuick(row))
      const comesFirst = quick.runs < MAX_QUICK_RUNS || quick.ms < chunk.runMs || others.length === 0
      if (others.length < rows.length && comesFirst) {
        await runQuick(rows.filter(isQuick))
        return
      }
      const isAwaited = mayLinger && comesFirst && isLongChunk
      mayLinger = false
      if (isAwaited) {
        await linger.wait()
        return
      }
      quick = { runs: 0, ms: 0 }
      const feeding = others.filter((row) => !row.isDecoding)
      hasFed = feeding.length > 0 && (decoding.length === 0 || !hasFed)
      if (hasFed) await run(batchesOf(feeding)[0]!, 1)
      else if (decoding.length > 0) await decode(decoding, chunk)
    },
    feedSome: (rows, maxTokens) => run(batchesOf(rows, Math.min(limits.maxInputTokens, maxTokens))[0]!, 1),
    decode,
  }
}

/** Returns the first of the batches that ran last at the same time. */
function leastRecent(batches: readonly Row[][]): Row[] {
  return batches.reduce<Row[]>(
    (first, rows) => (first.length === 0 || rows[0]!.lastRun < first[0]!.lastRun ? rows : first),
    [],
  )
}
