/**
 * @file One run of the generation graph: composes rows of any length into rectangular feeds, and splits the
 * outputs into rows again.
 *
 * With padding on the left, a row's cached positions are at the end of the past and its new tokens at the end
 * of the input; with padding on the right, both are at the beginning. Padding takes no position id.
 *
 * A graph that keeps the past returns only the positions that a run of one token per row adds. The next run takes
 * them as *recent* positions beside the same past, which is copied neither by the graph nor here. When there are
 * `MAX_RECENT` of them, or other rows, all positions are gathered into a new past. Sums over past and recent positions
 * round: no run goes beyond `MAX_RECENT`, so that the numbers of a row that runs alone do not depend on the lengths of
 * its runs.
 */

import { MAX_CANDIDATES, type Padding } from '#decoder'
import type { SamplingRules, TokenMaps } from '#ports'
import {
  type Allocate,
  allocateFresh,
  areRowsOfBlock,
  gather,
  isWholeBlock,
  joinSpans,
  type KvBlock,
  type KvLayout,
  type KvView,
  type PaddingSide,
  type Span,
  viewLength,
} from './key-values.ts'
import {
  composeRecurrence,
  type RecurrenceArrays,
  type RecurrentCore,
  type RowRecurrence,
} from './recurrent-rows.ts'
import { distinctMaps, type TokenFetches, type TokenTrace, traceOf } from './token-traces.ts'

/** Part of one row in one run. */
export interface StepRow {
  /** Positions already cached. */
  readonly past: KvView | null
  /** Tokens to feed, at least one. */
  readonly input: readonly number[]
  /** 0: argmax. */
  readonly temperature: number
  /** None by default. */
  readonly sampling?: SamplingRules
  /** Distinct tokens that a repetition penalty applies to at the beginning of the run; none by default. */
  readonly seenTokens?: readonly number[]
  /** Tokens this row may still emit, at least one. */
  readonly remaining: number
  /** One number in [0, 1) per token of the run; null where the row does not sample. */
  readonly uniforms: Float32Array | null
  /**
   * Index in `input` of the first token whose layer states count in the thought; null: no thought is
   * collected.
   */
  readonly thoughtFrom: number | null
  /** Maps that score the tokens of the thought; none by default. */
  readonly tokenMaps?: TokenMaps | null
  /** Index in `input` after the last fed token that counts in the thought; the end by default. */
  readonly thoughtTo?: number
  /** Of a depth-recurrent model; all recurrences from the noise of seed 0 by default. */
  readonly recurrence?: RowRecurrence
}

/** Feeds of the generation graph (names and shapes: `compileGeneration` of the decoder room). */
export interface StepFeeds {
  readonly side: PaddingSide
  readonly steps: number
  readonly rows: number
  /** Tokens fed per row, padding included. */
  readonly inputLength: number
  readonly past: KvBlock
  /** Positions after the past, of a graph that keeps it; else of length 0. */
  readonly recent: KvBlock
  /** Positions of each row's cache in past and recent positions. */
  readonly places: readonly Place[]
  /** Whether the run leaves the recent and the new positions only. */
  readonly isPastKept: boolean
  /** See `CacheRules`. */
  readonly keepsPast: boolean
  /** Whether the past was gathered into memory that rows refer to after the run. */
  readonly isPastNew: boolean
  readonly inputIds: BigInt64Array<ArrayBuffer>
  readonly attentionMask: BigInt64Array<ArrayBuffer>
  readonly positionIds: BigInt64Array<ArrayBuffer>
  readonly lastIndex: BigInt64Array<ArrayBuffer>
  readonly uniforms: Float32Array<ArrayBuffer>
  readonly temperature: Float32Array<ArrayBuffer>
  readonly topK: BigInt64Array<ArrayBuffer>
  readonly topP: Float32Array<ArrayBuffer>
  readonly minP: Float32Array<ArrayBuffer>
  readonly repetitionPenalty: Float32Array<ArrayBuffer>
  readonly seenTokens: BigInt64Array<ArrayBuffer>
  readonly finished: Uint8Array<ArrayBuffer>
  readonly remaining: BigInt64Array<ArrayBuffer>
  readonly thoughtWeights: Float32Array<ArrayBuffer>
  /** Maps of the rows, one of each version. */
  readonly tokenMaps: readonly TokenMaps[]
  /** Null for an ordinary decoder. */
  readonly recurrence: RecurrenceArrays | null
}

interface Place {
  readonly past: readonly Span[]
  readonly recent: readonly Span[]
}

/** Outputs of the generation graph. */
export interface StepFetches {
  /** `[n, B]`, n <= steps: the run ends early when every row has finished. */
  readonly tokens: BigInt64Array
  readonly emitted: number
  /** `[n, B, D]`, null when not fetched. */
  readonly hiddenStates: Float32Array | null
  /** `[B, L+1, D]`, null when not fetched. */
  readonly thoughtSums: Float32Array | null
  /** `[n, B, TOKEN_SIGNALS]`, null when not fetched. */
  readonly signals: Float32Array | null
  /** `[n, B]`: recurrences of the positions that predicted `tokens`; null by default, for an ordinary decoder. */
  readonly recurrences?: BigInt64Array | null
  /** Fetched with `thoughtSums`. */
  readonly traces: TokenFetches | null
  /**
   * Cache of past, recent positions, input and n - 1 emitted tokens, without the past where it is kept; null when not
   * fetched.
   */
  readonly present: KvBlock | null
}

/** Layout of the caches of a generation graph. */
export interface CacheRules {
  readonly layout: KvLayout
  readonly padding: Padding
  /** Whether the graph was compiled with `attentions`, and takes and returns recent positions. */
  readonly keepsPast: boolean
  /** Of a depth-recurrent model; null by default. */
  readonly core?: RecurrentCore | null
}

/** The generation graph. */
export interface StepRunner extends CacheRules {
  /** Upper bound on the positions of a run, past, input and decoded tokens together; null: none. */
  readonly maxWidth: number | null
  readonly hiddenSize: number
  /** L + 1; 0 when the graph gives no thoughts, and fetching them is an error. */
  readonly thoughtLayers: number
  run(
    feeds: StepFeeds,
    fetch: {
      readonly hiddenStates: boolean
      readonly thoughtSums: boolean
      /** The states of the fed tokens, with the sums; false by default. */
      readonly tokenStates?: boolean
      readonly signals: boolean
      readonly present: boolean
    },
  ): Promise<StepFetches>
}

/** Outcome of a run for one row. */
export interface StepOutcome {
  /** Tokens that the row emitted, EOS included, without the padding after it. */
  readonly tokens: readonly number[]
  readonly endedByEos: boolean
  /** States that predicted `tokens`, `[tokens.length, D]`; null when not fetched. */
  readonly hiddenStates: Float32Array | null
  /**
   * Sum of the layer states of the fed tokens from `thoughtFrom` on and of all `tokens` but the last,
   * `[L+1, D]`; null when `thoughtFrom` is null or the sums were not fetched.
   */
  readonly thoughtSum: Float32Array | null
  /** Signals of `tokens`, `[tokens.length, TOKEN_SIGNALS]`; null when not fetched. */
  readonly signals: Float32Array | null
  /** Recurrences that `tokens` took together; 0 for an ordinary decoder. */
  readonly recurrences: number
  /** Null as `thoughtSum`. */
  readonly trace: TokenTrace | null
  /** Cache of past, input and all of `tokens` but the last; null when not fetched. */
  readonly cached: KvView | null
}

/** Upper bound on recent positions: every step copies them. */
const MAX_RECENT = 64

/**
 * Builds the feeds for one run of at most `steps` tokens. Copies the caches into memory from `allocate`, unless the
 * rows are exactly those of one block. With padding on the right, rows of several tokens must have no past
 * unless there is only one row.
 */
export function composeFeeds(
  graph: CacheRules,
  rows: readonly StepRow[],
  steps: number,
  allocate: Allocate,
): StepFeeds {
  const side = graph.padding === 'right' ? 'right' : 'left'
  const inputLength = Math.max(...rows.map(({ input }) => input.length))
  const isPastKept = graph.keepsPast && inputLength === 1
  const views = rows.map(({ past }) => past)
  const caches = isPastKept
    ? placeApart(graph.layout, views)
    : placeTogether(graph.layout, views, side, allocate)
  const { past, recent } = caches
  const allowed = isPastKept ? Math.min(steps, MAX_RECENT - recent.length) : steps
  const width = past.length + recent.length + inputLength
  const inputOffset = (length: number) => (side === 'left' ? inputLength - length : 0)
  const feeds: StepFeeds = {
    side,
    steps: allowed,
    rows: rows.length,
    inputLength,
    ...caches,
    isPastKept,
    keepsPast: graph.keepsPast,
    inputIds: new BigInt64Array(rows.length * inputLength),
    attentionMask: new BigInt64Array(rows.length * width),
    positionIds: new BigInt64Array(rows.length * inputLength),
    lastIndex: BigInt64Array.from(rows, ({ input }) => BigInt(inputOffset(input.length) + input.length - 1)),
    uniforms: new Float32Array(allowed * rows.length),
    temperature: Float32Array.from(rows, ({ temperature }) => temperature),
    topK: BigInt64Array.from(rows, ({ sampling }) => BigInt(sampling?.topK || MAX_CANDIDATES)),
    topP: Float32Array.from(rows, ({ sampling }) => sampling?.topP ?? 1),
    minP: Float32Array.from(rows, ({ sampling }) => sampling?.minP ?? 0),
    repetitionPenalty: Float32Array.from(rows, ({ sampling }) => sampling?.repetitionPenalty ?? 1),
    seenTokens: composeSeenTokens(rows),
    finished: new Uint8Array(rows.length),
    remaining: BigInt64Array.from(rows, ({ remaining }) => BigInt(remaining)),
    thoughtWeights: new Float32Array(rows.length * inputLength),
    tokenMaps: distinctMaps(rows),
    recurrence: composeRecurrences(graph, rows, { steps: allowed, inputLength, inputOffset }),
  }
  for (const [index, row] of rows.entries()) {
    const covered = viewLength(row.past)
    const first = index * inputLength + inputOffset(row.input.length)
    for (const [start, end] of maskSpans(feeds, row, index)) {
      feeds.attentionMask.fill(1n, index * width + start, index * width + end)
    }
    for (const [i, token] of row.input.entries()) {
      feeds.inputIds[first + i] = BigInt(token)
      feeds.positionIds[first + i] = BigInt(covered + i)
    }
    if (row.thoughtFrom !== null) {
      const { thoughtFrom, thoughtTo = row.input.length } = row
      feeds.thoughtWeights.fill(1, first + thoughtFrom, first + Math.max(thoughtFrom, thoughtTo))
    }
    // The graph reads one line of uniforms per step: `[N, B]`.
    if (row.uniforms) {
      for (let step = 0; step < allowed; step++) {
        feeds.uniforms[step * rows.length + index] = row.uniforms[step]!
      }
    }
  }
  return feeds
}

function composeRecurrences(
  { core = null }: CacheRules,
  rows: readonly StepRow[],
  {
    steps,
    inputLength,
    inputOffset,
  }: {
    readonly steps: number
    readonly inputLength: number
    readonly inputOffset: (length: number) => number
  },
): RecurrenceArrays | null {
  if (core === null) return null
  const placed = rows.map(({ past, input, recurrence }) => ({
    recurrence: recurrence ?? { steps: core.maxSteps, tolerance: null, noise: 0 },
    from: viewLength(past),
    count: input.length,
    offset: inputOffset(input.length),
  }))
  return composeRecurrence(core, placed, { steps, inputLength })
}

type Caches = Pick<StepFeeds, 'past' | 'recent' | 'places' | 'isPastNew'>

/** Places all positions in the past. */
function placeTogether(
  layout: KvLayout,
  views: readonly (KvView | null)[],
  side: PaddingSide,
  allocate: Allocate,
): Caches {
  const past = isWholeBlock(views, side) ? views[0]!.block : gather(layout, views, side, allocate)
  return {
    past,
    recent: emptyLike(layout, past),
    places: views.map((view) => ({ past: placeIn(past, view, side), recent: [] })),
    isPastNew: false,
  }
}

/** Places the positions in the past of the last run and after it, if they are still there, else in a new past. */
function placeApart(layout: KvLayout, views: readonly (KvView | null)[]): Caches {
  const prefixes = views.map((view) => view?.prefix ?? null)
  const tails = views.map((view) => view && { block: view.block, row: view.row, spans: view.spans })
  const recent = tails[0]?.block
  if (recent?.isRecent && areRowsOfBlock(tails) && areRowsOfBlock(prefixes) && recent.length < MAX_RECENT) {
    const places = views.map((view) => ({ past: view!.prefix!.spans, recent: view!.spans }))
    return { past: prefixes[0]!.block, recent, places, isPastNew: false }
  }
  // The rows will refer to a new past: its memory must not be used again after this run.
  const isPastNew = !areRowsOfBlock(views)
  const past = !isPastNew ? views[0]!.block : gather(layout, views, 'right', allocateFresh(layout))
  return {
    past,
    recent: emptyLike(layout, past),
    places: views.map((view) => ({ past: placeIn(past, view, 'right'), recent: [] })),
    isPastNew,
  }
}

/** Returns the places of a view in a block that holds it, as it was or gathered. */
function placeIn(block: KvBlock, view: KvView | null, side: PaddingSide): readonly Span[] {
  if (view === null) return []
  if (view.block === block) return view.spans
  const length = viewLength(view)
  return side === 'left' ? [[block.length - length, block.length]] : [[0, length]]
}

function emptyLike(layout: KvLayout, { rows, arrays }: KvBlock): KvBlock {
  const none = allocateFresh(layout)(0, 0)
  return { arrays: arrays.map(() => none), rows, length: 0 }
}

/**
 * Returns `[rows, N]`, N the number of the row with the most. Other rows repeat a token, which changes nothing; a
 * row without seen tokens has no penalty, so its token does not matter.
 */
function composeSeenTokens(rows: readonly StepRow[]): BigInt64Array<ArrayBuffer> {
  const width = Math.max(...rows.map(({ seenTokens = [] }) => seenTokens.length))
  const all = new BigInt64Array(rows.length * width)
  for (const [index, { seenTokens = [] }] of rows.entries()) {
    for (let i = 0; i < width; i++) all[index * width + i] = BigInt(seenTokens[i] ?? seenTokens[0] ?? 0)
  }
  return all
}

/** Splits the outputs of a run into its rows. The views share the block of the run. */
export function splitFetches(
  rows: readonly StepRow[],
  feeds: StepFeeds,
  fetches: StepFetches,
  eosTokenIds: ReadonlySet<number>,
): StepOutcome[] {
  const { emitted, hiddenStates, thoughtSums, signals, present } = fetches
  const thoughtSize = thoughtSums ? thoughtSums.length / rows.length : 0
  return rows.map((row, index) => {
    const tokens: number[] = []
    let endedByEos = false
    while (!endedByEos && tokens.length < Math.min(emitted, row.remaining)) {
      const token = Number(fetches.tokens[tokens.length * rows.length + index])
      tokens.push(token)
      endedByEos = eosTokenIds.has(token)
    }
    return {
      tokens,
      endedByEos,
      hiddenStates: hiddenStates && column(hiddenStates, index, rows.length, emitted, tokens.length),
      thoughtSum:
        thoughtSums && row.thoughtFrom !== null
          ? thoughtSums.subarray(index * thoughtSize, (index + 1) * thoughtSize)
          : null,
      signals: signals && column(signals, index, rows.length, emitted, tokens.length),
      recurrences: tokens.reduce(
        (sum, _, step) => sum + Number(fetches.recurrences?.[step * rows.length + index] ?? 0),
        0,
      ),
      trace: fetches.traces && row.thoughtFrom !== null ? rowTrace(fetches.traces, feeds, row, index) : null,
      cached: present && cachedView(feeds, present, { row, index, emitted: tokens.length }),
    }
  })
}

function rowTrace(fetched: TokenFetches, feeds: StepFeeds, row: StepRow, index: number): TokenTrace {
  const { tokenMaps: maps, rows, side, inputLength } = feeds
  const end = side === 'left' ? inputLength : row.input.length
  const start = end - row.input.length + row.thoughtFrom!
  return traceOf(fetched, { maps, row, index, rows }, [start, end])
}

/** Returns the spans of ones in a row's mask `[P + R + S]`. */
function maskSpans(feeds: StepFeeds, row: StepRow, index: number): readonly Span[] {
  const { side, steps, past, recent, inputLength, isPastKept } = feeds
  const place = feeds.places[index]!
  const width = past.length + recent.length + inputLength
  if (side === 'left') return [...place.past, [width - row.input.length, width]]
  if (isPastKept) return [...place.past, ...shifted(place.recent, past.length), [width - 1, width]]
  // Padding after a row's tokens changes none of their states. Where nothing is decoded afterwards it may
  // count as text: the output of GroupQueryAttention for positions beyond a row's length is undefined.
  const counted = steps === 1 ? inputLength : row.input.length
  return [[0, viewLength(row.past) + counted]]
}

/**
 * Returns the view of past, input and all but the last of the `emitted` tokens in the block that the run leaves,
 * and in the past where it is kept.
 */
function cachedView(
  feeds: StepFeeds,
  block: KvBlock,
  { row, index, emitted }: { readonly row: StepRow; readonly index: number; readonly emitted: number },
): KvView {
  const { past, recent, side, inputLength } = feeds
  const place = feeds.places[index]!
  const fed = row.input.length
  if (feeds.isPastKept) {
    const spans = joinSpans([...place.recent, [recent.length, recent.length + emitted]])
    const prefix = place.past.length > 0 ? { prefix: { block: past, row: index, spans: place.past } } : {}
    return { block, row: index, spans, ...prefix }
  }
  const end = past.length + inputLength
  if (side === 'left') {
    const added = fed + emitted - 1
    const last = end + emitted - 1
    return { block, row: index, spans: joinSpans([...place.past, [last - added, last]]) }
  }
  const covered = viewLength(row.past)
  // GroupQueryAttention caches decoded tokens after those of their row, a graph that keeps the past after all rows'.
  const first = feeds.keepsPast ? end : covered + fed
  return {
    block,
    row: index,
    spans: joinSpans([
      [0, covered + fed],
      [first, first + emitted - 1],
    ]),
  }
}

function shifted(spans: readonly Span[], by: number): readonly Span[] {
  return spans.map(([start, end]) => [start + by, end + by])
}

/** Returns the first `count` steps of row `index` of `[n, B, W]`: `[count, W]`. */
function column(
  states: Float32Array,
  index: number,
  rows: number,
  steps: number,
  count: number,
): Float32Array {
  const width = states.length / (steps * rows)
  const out = new Float32Array(count * width)
  for (let step = 0; step < count; step++) {
    const from = (step * rows + index) * width
    out.set(states.subarray(from, from + width), step * width)
  }
  return out
}
