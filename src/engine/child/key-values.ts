/**
 * @file Keys and values of past tokens. A run of the generation graph leaves them as one block for all its
 * rows. A sequence keeps a view of a block, so that slicing a prompt's cache costs nothing and a batch that
 * stays together is never copied.
 *
 * Shapes: docs/shapes.md; `P` positions of a block, padding included.
 */

import { cacheHeads, type Recurrence } from '#decoder'

/** Values of a cache; fp16 stays as raw bits, because JavaScript moves the values and never reads them. */
export type KvArray = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>

export interface KvLayout {
  /** `L`; each layer has two tensors, in the order key 0, value 0, key 1, value 1, ... */
  readonly layers: number
  /** `K` */
  readonly heads: number
  /** `h` */
  readonly headSize: number
  readonly type: 'float32' | 'float16'
  /** The core of a depth-recurrent model, whose caches have R x K heads; null by default: none. */
  readonly recurrence?: Pick<Recurrence, 'maxSteps' | 'coreLayers'> | null
}

/** Returns the number of heads of a layer's caches: `K`, or R x K in a recurrent core. */
export function headsOf({ heads, recurrence = null }: KvLayout, layer: number): number {
  return cacheHeads({ heads, recurrence }, layer)
}

/** Caches that one run left: a tensor `[rows, K, length, h]` per layer and kind. Never written to. */
export interface KvBlock {
  readonly arrays: readonly KvArray[]
  readonly rows: number
  readonly length: number
  /** Whether a run left only these positions of its rows, beside a past that it kept; false by default. */
  readonly isRecent?: boolean
}

/** Half-open range of positions of a block. */
export type Span = readonly [start: number, end: number]

/** Cached positions of one row, in order; the positions between the spans are padding. */
export interface KvView {
  readonly block: KvBlock
  readonly row: number
  readonly spans: readonly Span[]
  /** Positions before those of the spans, which other views share; none by default. */
  readonly prefix?: KvView
}

/** Returns the number of cached positions. */
export function viewLength(view: KvView | null): number {
  return partsOf(view).reduce((sum, { spans }) => sum + lengthOf(spans), 0)
}

/** Returns a view and its prefixes in the order of their positions. */
export function partsOf(view: KvView | null): readonly KvView[] {
  if (view === null) return []
  return view.prefix === undefined ? [view] : [...partsOf(view.prefix), view]
}

function lengthOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [start, end]) => sum + end - start, 0)
}

/**
 * Returns a view of the first `length` cached positions, which shares the block; null when there are none.
 */
export function truncate(view: KvView | null, length: number): KvView | null {
  if (view === null || length <= 0) return null
  const before = viewLength(view.prefix ?? null)
  if (length <= before) return truncate(view.prefix!, length)
  const spans: Span[] = []
  let rest = length - before
  for (const [start, end] of view.spans) {
    if (rest <= 0) break
    spans.push([start, Math.min(end, start + rest)])
    rest -= end - start
  }
  return { ...view, spans }
}

/** Joins adjacent spans and drops empty ones. */
export function joinSpans(spans: readonly Span[]): Span[] {
  const joined: Span[] = []
  for (const [start, end] of spans) {
    if (start >= end) continue
    const last = joined.at(-1)
    if (last && last[1] === start) joined[joined.length - 1] = [last[0], end]
    else joined.push([start, end])
  }
  return joined
}

/** Returns the bytes of one cached position over all layers. */
export function bytesPerPosition(layout: KvLayout): number {
  const { layers, headSize, type } = layout
  const heads = Array.from({ length: layers }, (_, layer) => headsOf(layout, layer))
  return 2 * heads.reduce((sum, count) => sum + count, 0) * headSize * (type === 'float16' ? 2 : 4)
}

/** Place of the padding in a batch: before a row's positions, or after them. */
export type PaddingSide = 'left' | 'right'

/** Returns whether `views` are exactly the rows of one block, in order, wherever their positions are. */
export function areRowsOfBlock(views: readonly (KvView | null)[]): boolean {
  const block = views[0]?.block
  const isRow = (view: KvView | null, row: number) =>
    view?.block === block && view?.row === row && view.prefix === undefined
  return block !== undefined && block.rows === views.length && views.every(isRow)
}

/**
 * Returns whether `views` are exactly the rows of one block, in order, and placed where `gather` would put
 * them, apart from holes: then the block itself can be fed again. With padding on the right the longest view
 * ends at the end of the block.
 */
export function isWholeBlock(views: readonly (KvView | null)[], side: PaddingSide): boolean {
  if (!areRowsOfBlock(views)) return false
  const { block } = views[0]!
  const ends = views.map((view) => view!.spans.at(-1)![1])
  if (side === 'left') return ends.every((end) => end === block.length)
  // A graph that pads on the right cannot mask holes.
  return Math.max(...ends) === block.length && views.every((view, row) => viewLength(view) === ends[row])
}

/** Returns memory for tensor number `tensor` of a block: `size` elements of any content. */
export type Allocate = (tensor: number, size: number) => KvArray

/** Returns an allocator that allocates new memory for every block. */
export function allocateFresh(layout: KvLayout): Allocate {
  return (_, size) => (layout.type === 'float16' ? new Uint16Array(size) : new Float32Array(size))
}

/** Memory of one run's feeds, which is given back when it is disposed of: feeds are not read after their run. */
export interface FeedArrays extends Disposable {
  readonly allocate: Allocate
}

/** Upper bound on the memory that is kept for the next run, in bytes, over all tensors. */
const MAX_KEPT_BYTES = 2 ** 26

/**
 * Creates memory for feeds. Small tensors reuse it, because new memory would cost more than the copy into it (a page
 * fault per 4 KiB); large ones free it after their run at once, as the next collection of garbage may be far.
 */
export function createFeedMemory(layout: KvLayout): { take(): FeedArrays } {
  const fresh = allocateFresh(layout)
  const kept: KvArray[] = []
  return {
    take() {
      const large: KvArray[] = []
      return {
        allocate(tensor, size) {
          const known = kept[tensor]
          if (known && known.length >= size) return known.subarray(0, size)
          const array = fresh(tensor, size)
          if (1.5 * array.byteLength * 2 * layout.layers > MAX_KEPT_BYTES) {
            large.push(array)
            return array
          }
          kept[tensor] = fresh(tensor, Math.ceil(size * 1.5))
          return kept[tensor].subarray(0, size)
        },
        [Symbol.dispose]() {
          for (const { buffer } of large) buffer.transfer(0)
        },
      }
    },
  }
}

/**
 * Copies views into one block, as long as the longest view. Row i has its positions at the end of the block,
 * or with padding on the right at [0, viewLength); the rest is zeros.
 */
export function gather(
  layout: KvLayout,
  views: readonly (KvView | null)[],
  side: PaddingSide,
  allocate: Allocate,
): KvBlock {
  const { headSize } = layout
  const rows = views.length
  const lengths = views.map(viewLength)
  const length = Math.max(0, ...lengths)
  const arrays = Array.from({ length: 2 * layout.layers }, (_, tensor) => {
    const heads = headsOf(layout, tensor >> 1)
    const target = allocate(tensor, rows * heads * length * headSize)
    for (const [row, view] of views.entries()) {
      const pad = length - lengths[row]!
      for (let head = 0; head < heads; head++) {
        const edge = (row * heads + head) * length
        const padding = side === 'left' ? edge : edge + length - pad
        target.fill(0, padding * headSize, (padding + pad) * headSize)
        if (view === null) continue
        let to = side === 'left' ? edge + pad : edge
        for (const part of partsOf(view)) {
          const from = (part.row * heads + head) * part.block.length
          const source = part.block.arrays[tensor]!
          for (const [start, end] of part.spans) {
            target.set(source.subarray((from + start) * headSize, (from + end) * headSize), to * headSize)
            to += end - start
          }
        }
      }
    }
    return target
  })
  return { arrays, rows, length }
}

/**
 * Copies a view into a block of its own, so that a kept row does not keep the rest of its batch in memory.
 */
export function compact(layout: KvLayout, view: KvView): KvView {
  const length = viewLength(view)
  if (view.block.rows === 1 && view.block.length === length && view.prefix === undefined) return view
  return { block: gather(layout, [view], 'left', allocateFresh(layout)), row: 0, spans: [[0, length]] }
}

/**
 * Copies the positions of a view after its first ones into a block of their own.
 *
 * @param prefix view of those first positions, which the result shares
 */
export function compactAfter(layout: KvLayout, view: KvView, prefix: KvView): KvView {
  let rest = viewLength(prefix)
  let own: KvView | null = null
  for (const { block, row, spans } of partsOf(view)) {
    const left: Span[] = []
    for (const [start, end] of spans) {
      const skipped = Math.min(rest, end - start)
      rest -= skipped
      if (start + skipped < end) left.push([start + skipped, end])
    }
    if (left.length > 0) own = { block, row, spans: left, ...(own === null ? {} : { prefix: own }) }
  }
  if (own === null) return prefix
  const { block } = compact(layout, own)
  return { block, row: 0, spans: [[0, block.length]], prefix }
}
