/** @file The runs of a turn: divides rows into batches, runs them, and chooses how many tokens to decode. */

import type { BatchRunner } from './batch-runner.ts'
import { type BatchLimits, formBatches } from './form-batches.ts'
import type { Row } from './row.ts'
import type { RowQueue } from './row-queue.ts'

/** Bounds on the tokens of a decoding run, which takes as many as fit into `runMs`. */
export interface ChunkLimits {
  readonly chunkTokens: readonly [min: number, max: number]
  readonly runMs: number
}

export interface TurnRuns {
  batchesOf(rows: readonly Row[]): Row[][]
  run(rows: readonly Row[], maxSteps: number): Promise<void>
  /** Feeds all rows, in one or several runs. */
  feed(rows: readonly Row[]): Promise<void>
  /** Feeds rows in one run of at most `maxTokens` where the first row allows it; the others wait. */
  feedSome(rows: readonly Row[], maxTokens: number): Promise<void>
  /**
   * Decodes a chunk of the rows of one batch: batches alternate. The chunk ends when the first of the rows will
   * be stopped, because nothing ends a run that has begun.
   */
  decode(rows: readonly Row[], limits: ChunkLimits): Promise<void>
}

export function createTurnRuns(batches: BatchRunner, queue: RowQueue, limits: BatchLimits): TurnRuns {
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

  return {
    batchesOf,
    run,
    async feed(rows) {
      for (const batch of batchesOf(rows)) await run(batch, 1)
    },
    feedSome: (rows, maxTokens) => run(batchesOf(rows, Math.min(limits.maxInputTokens, maxTokens))[0]!, 1),
    async decode(candidates, { chunkTokens: [min, max], runMs }) {
      const rows = leastRecent(batchesOf(candidates))
      const msPerStep = batches.msPerStep(rows.length)
      const steps = Math.min(max, Math.max(min, Math.floor(runMs / msPerStep)))
      const leftMs = Math.min(...rows.map(({ stopAt }) => stopAt)) - performance.now()
      const isBounded = Number.isFinite(leftMs) && Number.isFinite(msPerStep)
      await run(rows, isBounded ? Math.min(steps, Math.max(1, Math.floor(leftMs / msPerStep))) : steps)
    },
  }
}

/** Returns the first of the batches that ran last at the same time. */
function leastRecent(batches: readonly Row[][]): Row[] {
  return batches.reduce<Row[]>(
    (first, rows) => (first.length === 0 || rows[0]!.lastRun < first[0]!.lastRun ? rows : first),
    [],
  )
}
