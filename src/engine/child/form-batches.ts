/** @file Divides rows into batches that run together. */

import type { Padding } from '#decoder'

export interface RowSize {
  /** Positions already cached. */
  readonly covered: number
  /** Tokens to feed. */
  readonly input: number
  /** Positions at the end of the row, its prompt and the whole of its answer. */
  readonly positions: number
}

export interface BatchLimits {
  /**
   * `right`: the graph takes several tokens after a past only for one row at a time (GroupQueryAttention).
   * `equal`: the graph takes rows of equal pasts and equal inputs only.
   */
  readonly padding: Padding
  readonly maxRows: number
  /**
   * Upper bound on the tokens fed by one run, padding included; it bounds how long a run delays the rows of
   * others.
   */
  readonly maxInputTokens: number
  /** Whether there is memory for a run of the rows; always by default. */
  readonly fitsMemory?: (rows: readonly RowSize[]) => boolean
}

/** Amounts below which padding is cheaper than another run of the graph. */
const FREE_INPUT_PADDING = 32
const FREE_PAST_PADDING = 2048
const MAX_FED_PER_USED = 1.5

/**
 * Divides rows into batches, first fit in the order given: the batch of the first row comes first, and an
 * unchanged list gives unchanged batches. A row joins a batch only while padding stays below a third of what
 * is fed, so that a long prompt does not make sixteen short rows pay for its length.
 */
export function formBatches<Row>(
  rows: readonly Row[],
  sizeOf: (row: Row) => RowSize,
  limits: BatchLimits,
): Row[][] {
  const batches: { rows: Row[]; sizes: RowSize[] }[] = []
  for (const row of rows) {
    const size = sizeOf(row)
    const open = batches.find(({ sizes }) => fits(sizes, size, limits))
    if (open) {
      open.rows.push(row)
      open.sizes.push(size)
    } else {
      batches.push({ rows: [row], sizes: [size] })
    }
  }
  return batches.map((batch) => batch.rows)
}

function fits(sizes: readonly RowSize[], size: RowSize, limits: BatchLimits): boolean {
  if (sizes.length >= limits.maxRows) return false
  const all = [...sizes, size]
  const [first] = all as [RowSize]
  const isEven = size.covered === first.covered && size.input === first.input
  if (limits.padding === 'equal' && !isEven) return false
  const isSingle = all.every((row) => row.input === 1)
  if (limits.padding === 'right' && !isSingle && all.some((row) => row.covered > 0)) return false
  const input = area(all.map((row) => row.input))
  if (input.fed > limits.maxInputTokens || limits.fitsMemory?.(all) === false) return false
  const past = area(all.map((row) => row.covered))
  return (
    input.fed <= Math.max(FREE_INPUT_PADDING, MAX_FED_PER_USED * input.used) &&
    past.fed <= Math.max(FREE_PAST_PADDING, MAX_FED_PER_USED * past.used)
  )
}

function area(lengths: readonly number[]): { readonly fed: number; readonly used: number } {
  return {
    fed: lengths.length * Math.max(...lengths),
    used: lengths.reduce((sum, length) => sum + length, 0),
  }
}
