/**
 * @file The memory of runs: which rows may run together, which wait for their turn, which can never run.
 *
 * A run needs B x (P + T) x the bytes of one cached position x COPIES, for B rows of P + T positions at their end,
 * and the attention scores of the tokens that it feeds.
 */

import { ServiceError } from '#errors'
import type { RowSize } from './form-batches.ts'
import { inGiB } from './memory.ts'

/**
 * Copies of the caches of a run that exist at the same time, at the end of its Loop: those that were fed, those
 * before and after the last step, and the outputs. (Feeds are not overwritten, and the Loop copies its last values.)
 * Measured with the int4 Qwen2.5-Coder-0.5B by the peak of resident memory above that of the loaded model, divided by
 * B (P + T) bytes: 4.0 to 4.1 for 4 x 4,099, 4 x 2,055 and 8 x 519 positions, in first and resumed runs. Runs of a graph
 * that keeps the past need less while they decode; the bound is that of all graphs.
 */
const COPIES = 4

/**
 * Share of the budget that is kept for rows that need at most `SMALL_SHARE` of it: a short answer need not wait for
 * the end of long ones of another caller. Only within that share may they pass a row that waits.
 */
const RESERVED_SHARE = 1 / 8
const SMALL_SHARE = 1 / 32
/** Share of the budget above which a row that waits is passed by none, small or not. */
const LARGE_SHARE = 1 - 2 * RESERVED_SHARE
/**
 * Time, in ms, for which later rows that fit may pass a row that waits. After it the row begins as soon as those that
 * have begun have ended: no stream of short requests starves a long one, which in turn holds up none in between.
 */
const MAX_PASSED_MS = 5000

export interface MemoryBudget {
  /** Upper bound, in bytes, on the memory of the rows that have begun; infinite where it is not known. */
  bytes(): number
  /** Returns the bytes that the rows need together in one run, padding included. */
  needOf(rows: readonly RowSize[]): number
  /** Whether rows may share a run. A row may always run alone. */
  fits(rows: readonly RowSize[]): boolean
  /**
   * Throws when a row needs more than the whole budget, as it was before any run failed.
   * @throws ServiceError MEMORY_EXCEEDED with the sum
   */
  check(row: RowSize): void
  /**
   * Returns the rows that may take part in runs now: those that have begun, and of the others, in their order, as
   * many as fit beside them. At least one. A row that does not fit keeps back later ones when it has waited for
   * `MAX_PASSED_MS`.
   * @param held bytes of the caches of rows that have begun and do not run now
   * @param now time on the clock of `performance.now()`
   */
  admit<Row extends AdmittedRow>(rows: readonly Row[], held: number, now?: number): Row[]
  /** Bytes of the caches that a row holds between its runs. */
  heldBy(row: RowSize): number
  /**
   * Halves the budget for the life of the process, after a run of `rows` failed for want of memory.
   * @returns the new budget in bytes
   */
  halve(rows: readonly RowSize[]): number
  /** Returns the sum for an error message. */
  describe(row: RowSize): string
}

interface AdmittedRow {
  readonly size: RowSize
  /** Whether the row has taken part in no run yet. */
  readonly isWaiting: boolean
  /** On the clock of `performance.now()`. */
  readonly submittedAt: number
}

/**
 * @param options.bytes budget at first; infinite where it is not known
 * @param options.positionBytes bytes of one cached position of one row, over all layers
 * @param options.scoreBytes bytes of the attention scores of one fed token per position; 0 by default
 */
export function createMemoryBudget(options: {
  readonly bytes: number
  readonly positionBytes: number
  readonly scoreBytes?: number
}): MemoryBudget {
  const { bytes: initial, positionBytes, scoreBytes = 0 } = options
  let budget = initial

  const needOf = (rows: readonly RowSize[]) => {
    const positions = Math.max(...rows.map((row) => row.positions))
    const input = Math.max(...rows.map((row) => row.input))
    return rows.length * positions * (COPIES * positionBytes + input * scoreBytes)
  }
  const describe = ({ positions, input }: RowSize) => {
    const scores = scoreBytes > 0 ? ` and ${input} x ${scoreBytes} B of attention scores` : ''
    const factors = `${positions} positions of prompt and answer x (${COPIES} copies x ${positionBytes} B${scores})`
    return `${inGiB(needOf([{ covered: 0, input, positions }]))} = ${factors}`
  }

  return {
    bytes: () => budget,
    needOf,
    fits: (rows) => rows.length === 1 || needOf(rows) <= budget,
    check(row) {
      if (needOf([row]) <= initial) return
      throw new ServiceError(
        'MEMORY_EXCEEDED',
        `engine: expected rows that need at most ${inGiB(Math.max(0, initial))} of memory, got ${describe(row)}; ` +
          'ask for a shorter question or answer, or raise ENGINE_MEMORY_BYTES',
      )
    },
    admit(rows, held, now = performance.now()) {
      const begun = rows.filter(({ isWaiting }) => !isWaiting)
      const joining = new Set(begun)
      let left = budget - held
      let reserved = RESERVED_SHARE * budget
      /** Share of the budget that the largest row needs which waits too long; the later ones wait behind it. */
      let overdue = 0
      const isSmall = (need: number) => need <= SMALL_SHARE * budget
      const take = (need: number) => {
        left -= need
        if (isSmall(need)) reserved -= need
      }
      for (const { size } of begun) take(needOf([size]))
      for (const row of rows) {
        if (!row.isWaiting) continue
        const need = needOf([row.size])
        const free = isSmall(need) ? left : left - RESERVED_SHARE * budget
        const passes = isSmall(need) && need <= reserved && overdue <= LARGE_SHARE
        if (joining.size === 0 || (need <= free && (overdue === 0 || passes))) {
          joining.add(row)
          take(need)
        } else if (now - row.submittedAt >= MAX_PASSED_MS) {
          overdue = Math.max(overdue, need / budget)
        }
      }
      return rows.filter((row) => joining.has(row))
    },
    heldBy: ({ covered }) => covered * positionBytes,
    halve(rows) {
      budget = Math.min(budget, needOf(rows)) / 2
      return budget
    },
    describe,
  }
}
