/**
 * @file One row of a batch: tokens to feed on top of a cache, then perhaps tokens to decode.
 *
 * A row takes part in one or many runs of the generation graph. It states what it needs from the next run,
 * takes its share of the outcome, and keeps what it has collected until it is finished.
 */

import { TOKEN_SIGNALS } from '#decoder'
import { ServiceError } from '#errors'
import type { Priority, SamplingRules, TokenMaps } from '#ports'
import { createRandom, type Random } from '#tensor'
import type { RowSize } from './form-batches.ts'
import {
  bytesPerPosition,
  compact,
  compactAfter,
  type KvLayout,
  type KvView,
  truncate,
  viewLength,
} from './key-values.ts'
import type { RowRecurrence } from './recurrent-rows.ts'
import type { StepOutcome, StepRow } from './step-batch.ts'
import { addTraces, type TokenTrace } from './token-traces.ts'

export interface RowRequest {
  /** Positions already cached. */
  readonly past: KvView | null
  /** Tokens after the cached positions, at least one. */
  readonly input: readonly number[]
  /** Null: the input is fed and nothing is decoded. */
  readonly decode: {
    readonly temperature: number
    /** None by default. */
    readonly sampling?: SamplingRules
    /** Tokens of the sequence, cached ones included: a repetition penalty applies to them. */
    readonly seenTokens?: readonly number[]
    readonly seed: number
    /** At least one. */
    readonly maxNewTokens: number
    /** Number of leading states to return. */
    readonly latents: number
    /** Whether to return the signals of the decoded tokens; false by default. */
    readonly signals?: boolean
  } | null
  /**
   * Index in `input` of the first token whose layer states count in the thought; no thought is collected by
   * default.
   */
  readonly thoughtFrom?: number | null
  /** Whether the result has the states of the thought's tokens, for a row without decoding; false by default. */
  readonly tokenStates?: boolean
  /** Maps that score the tokens of the thought; none by default. */
  readonly tokenMaps?: TokenMaps | null
  /** Index in `input` after the last token of the thought; the end by default, and then decoded tokens count too. */
  readonly thoughtTo?: number
  /** Thinking of a depth-recurrent model; all recurrences from the noise of seed 0 by default. */
  readonly recurrence?: RowRecurrence
  /** Whether the result contains the row's cache. */
  readonly keepCache: boolean
  /** Drops the row when the next run is formed. */
  readonly signal: AbortSignal
  /** Stops the row when the next run is formed: a row that decodes returns what it has. Never by default. */
  readonly stopSignal?: AbortSignal
  /** Time on the clock of `performance.now()` at which `stopSignal` will fire; never by default. */
  readonly stopAt?: number
  /** Id of the row's session, by which runs are announced; 0 by default. */
  readonly session?: number
  /** Whether the row shares no run with rows of other sessions; false by default. */
  readonly isolated?: boolean
  /** Interactive by default. */
  readonly priority?: Priority
  /** Key or address of the caller; one for all by default. */
  readonly caller?: string
  /** Deadline on the clock of `performance.now()`; the time of submission by default. */
  readonly dueAt?: number
  /** Receives the tokens that each run has decoded, before `result` resolves. */
  readonly onTokens?: (tokens: readonly number[]) => void
  /** Called when the run that decodes the first token has fed the last of the input. */
  readonly onFed?: (fed: FedInput) => void
}

/** Outcome of feeding past and input, in memory of its own. */
export interface FedInput {
  readonly cached: KvView
  /** State of the last input token, `[D]`. */
  readonly state: Float32Array
}

export interface RowResult {
  /** Decoded tokens, EOS included. */
  readonly tokens: readonly number[]
  readonly endedByEos: boolean
  /** Whether the row was stopped before its end; then `cached` is null. */
  readonly isStopped: boolean
  /**
   * States that predicted the first decoded tokens, `[<= latents, D]`; without decoding, of the last input
   * token, `[1, D]`.
   */
  readonly hiddenStates: Float32Array
  /**
   * Layer states summed over the fed tokens from `thoughtFrom` on and all decoded tokens but the last,
   * `[L+1, D]`; null without `thoughtFrom`.
   */
  readonly thoughtSum: Float32Array | null
  /** Signals of the decoded tokens, `[tokens, TOKEN_SIGNALS]`; null unless requested. */
  readonly signals: Float32Array | null
  /** Recurrences that the decoded tokens took together; 0 for an ordinary decoder. */
  readonly recurrences: number
  /** Trace of the same tokens; null without `thoughtFrom`, or when the graph gives none. */
  readonly trace: TokenTrace | null
  /**
   * Cache of past, input and all decoded tokens but the last; null without `keepCache`. It shares the memory of a
   * long past, so that the samples of a prompt hold it once; the rest is in its own memory.
   */
  readonly cached: KvView | null
}

/** Sizes of the model and of a run that a row depends on. */
export interface RowSizes {
  readonly layout: KvLayout
  readonly hiddenSize: number
  /** Upper bound on the tokens of one row that the next run feeds; it changes only when a run has ended. */
  readonly maxInputTokens: number
  /** Least bytes of a past that the caches of the rows that decode on it share. */
  readonly minSharedBytes: number
}

export class Row {
  readonly priority: Priority
  readonly caller: string
  readonly dueAt: number
  readonly signal: AbortSignal
  readonly stopAt: number
  readonly session: number
  readonly isolated: boolean
  readonly submittedAt = performance.now()
  /** Number of the last run that the row took part in; at first, of the last run before its submission. */
  lastRun: number
  /** Whether the row has taken part in no run yet. */
  isWaiting = true
  isSettled = false
  readonly #settlers = Promise.withResolvers<RowResult>()
  readonly #request: RowRequest
  readonly #sizes: RowSizes
  readonly #uniforms: StepUniforms | null
  /** Distinct tokens of the sequence; null: the row has no repetition penalty. */
  readonly #seenTokens: Set<number> | null
  #past: KvView | null
  /** Cache of past and input that `onFed` has received; at first, the past. */
  #kept: KvView | null
  /** Tokens not cached yet. */
  #input: readonly number[]
  /** Indices in `#input`, as `RowRequest.thoughtFrom` and `thoughtTo`. */
  #thoughtFrom: number | null
  #thoughtTo: number
  #thoughtSum: Float32Array | null = null
  #trace: TokenTrace | null = null
  readonly #tokens: number[] = []
  readonly #states: Float32Array[] = []
  #stateCount = 0
  readonly #signals: Float32Array[] = []
  #recurrences = 0

  constructor(request: RowRequest, sizes: RowSizes, lastRun: number) {
    const { decode, session = 0, isolated = false, stopAt = Number.POSITIVE_INFINITY } = request
    const { priority = 'interactive', caller = '', dueAt = this.submittedAt } = request
    this.stopAt = stopAt
    this.session = session
    this.isolated = isolated
    this.priority = priority
    this.caller = caller
    this.dueAt = dueAt
    this.signal = request.signal
    this.lastRun = lastRun
    this.#request = request
    this.#sizes = sizes
    this.#uniforms = decode && decode.temperature > 0 ? new StepUniforms(createRandom(decode.seed)) : null
    this.#seenTokens = decode && isPenalised(decode) ? new Set(decode.seenTokens) : null
    this.#past = request.past
    this.#kept = request.past
    this.#input = request.input
    this.#thoughtFrom = request.thoughtFrom ?? null
    this.#thoughtTo = request.thoughtTo ?? Number.POSITIVE_INFINITY
  }

  get result(): Promise<RowResult> {
    return this.#settlers.promise
  }

  /** Whether the row decodes at all, now or once it is fed. */
  get decodes(): boolean {
    return this.#request.decode !== null
  }

  /** Whether everything but the last token is cached, so that the next run decodes. */
  get isDecoding(): boolean {
    return this.decodes && this.#input.length === 1
  }

  /** Whether the next run decodes the row's first token. */
  get isFirstToken(): boolean {
    return this.isDecoding && this.#tokens.length === 0
  }

  /** Whether at most two runs feed all tokens that are not cached. */
  get isShort(): boolean {
    return this.#input.length <= 2 * this.#sizes.maxInputTokens
  }

  get decodedTokens(): number {
    return this.#tokens.length
  }

  /** Number of tokens that the row may still emit. */
  get remaining(): number {
    const { decode } = this.#request
    return decode === null ? 1 : decode.maxNewTokens - this.#tokens.length
  }

  get size(): RowSize {
    const covered = viewLength(this.#past)
    const positions = covered + this.#input.length + this.remaining - 1
    return { covered, input: this.#nextInput().length, positions }
  }

  get wantsStates(): boolean {
    return this.#wantedStates() > 0 || this.awaitsFed
  }

  get wantsThought(): boolean {
    return this.#thoughtFrom !== null
  }

  /** Whether the next run computes signals of the row's tokens. */
  get wantsSignals(): boolean {
    return this.#asksSignals && this.#nextInput().length === this.#input.length
  }

  get #asksSignals(): boolean {
    return this.#request.decode?.signals ?? false
  }

  /** Whether `onFed` is to be called. */
  get awaitsFed(): boolean {
    return this.#request.onFed !== undefined && this.#tokens.length === 0
  }

  get wantsTokenStates(): boolean {
    return this.wantsThought && !this.decodes && (this.#request.tokenStates ?? false)
  }

  /** Whether the row needs its cache after the next run. */
  get wantsCache(): boolean {
    return this.decodes || this.#request.keepCache || this.#nextInput().length < this.#input.length
  }

  /**
   * Returns the row's part of a run of `steps` tokens. Changes nothing: after a failed run it returns the same
   * part again, random numbers included.
   */
  stepRow(steps: number): StepRow {
    const { decode, recurrence } = this.#request
    const input = this.#nextInput()
    const samples = decode !== null && input.length === this.#input.length
    return {
      past: this.#past,
      input,
      temperature: samples ? decode.temperature : 0,
      ...(samples && decode.sampling && { sampling: decode.sampling }),
      ...(samples && this.#seenTokens && { seenTokens: [...this.#seenTokens] }),
      remaining: samples ? this.remaining : 1,
      uniforms: samples && this.#uniforms ? this.#uniforms.peek(steps) : null,
      thoughtFrom: this.#thoughtFrom === null ? null : Math.min(this.#thoughtFrom, input.length),
      tokenMaps: this.#request.tokenMaps ?? null,
      thoughtTo: Math.min(this.#thoughtTo, input.length),
      // Only a position that predicts an answer token may stop early.
      ...(recurrence && { recurrence: samples ? recurrence : { ...recurrence, tolerance: null } }),
    }
  }

  /**
   * Takes the outcome of a run that fed `fed` tokens of the row; resolves `result` when the row is finished.
   */
  advance(fed: number, outcome: StepOutcome): void {
    this.#past = outcome.cached
    this.#collectThought(fed, outcome)
    if (fed < this.#input.length) {
      this.#input = this.#input.slice(fed)
      return
    }
    this.#collectStates(outcome)
    if (this.decodes) {
      if (this.awaitsFed) this.#reportFed(outcome)
      if (this.#asksSignals && outcome.signals !== null) this.#signals.push(outcome.signals)
      this.#recurrences += outcome.recurrences
      this.#tokens.push(...outcome.tokens)
      for (const token of outcome.tokens) this.#seenTokens?.add(token)
      this.#uniforms?.consume(outcome.tokens.length)
      if (outcome.tokens.length > 0) this.#request.onTokens?.(outcome.tokens)
      if (!outcome.endedByEos && this.remaining > 0) {
        this.#input = outcome.tokens.slice(-1)
        return
      }
    }
    this.#finish(outcome)
  }

  fail(error: Error): void {
    this.isSettled = true
    this.#settlers.reject(error)
  }

  /** Settles the row when its session was closed or stopped. */
  dropIfEnded(): void {
    if (this.signal.aborted) this.abort()
    else if (this.#request.stopSignal?.aborted) this.#stop()
  }

  /** Fails the row with ABORTED. */
  abort(): void {
    this.fail(
      new ServiceError(
        'ABORTED',
        'engine: the session was closed or stopped while its rows were waiting or running',
        {
          cause: this.signal.reason,
        },
      ),
    )
  }

  #finish({ endedByEos }: StepOutcome): void {
    this.#settle({
      endedByEos: this.decodes && endedByEos,
      isStopped: false,
      cached: this.#request.keepCache && this.#past ? this.#ownCache(this.#past) : null,
    })
  }

  #ownCache(cached: KvView): KvView {
    const { layout, minSharedBytes } = this.#sizes
    const before = this.#kept
    const isLong = viewLength(before) * bytesPerPosition(layout) >= minSharedBytes
    // The cache of a prompt may outlive the prompt that it begins like: it shares nothing.
    return before && isLong && this.decodes ? compactAfter(layout, cached, before) : compact(layout, cached)
  }

  #reportFed({ cached, hiddenStates }: StepOutcome): void {
    const { past, input, onFed } = this.#request
    const { layout, hiddenSize } = this.#sizes
    const fed = truncate(cached, viewLength(past) + input.length)!
    this.#kept = compact(layout, fed)
    onFed!({ cached: this.#kept, state: hiddenStates!.slice(0, hiddenSize) })
  }

  /** Between two runs a row is in the state in which it would be had it reached its last token. */
  #stop(): void {
    if (this.decodes) this.#settle({ endedByEos: false, isStopped: true, cached: null })
    else this.abort()
  }

  #settle(end: Pick<RowResult, 'endedByEos' | 'isStopped' | 'cached'>): void {
    this.isSettled = true
    this.#settlers.resolve({
      ...end,
      tokens: this.#tokens,
      hiddenStates: concatenate(this.#states, this.#stateCount * this.#sizes.hiddenSize),
      thoughtSum: this.#thoughtSum,
      signals: this.#asksSignals ? concatenate(this.#signals, this.#tokens.length * TOKEN_SIGNALS) : null,
      recurrences: this.#recurrences,
      trace: this.#trace,
    })
  }

  /** Returns the input of the next run: a long prompt is fed in several runs. */
  #nextInput(): readonly number[] {
    const { maxInputTokens } = this.#sizes
    return this.#input.length <= maxInputTokens ? this.#input : this.#input.slice(0, maxInputTokens)
  }

  #wantedStates(): number {
    const { decode } = this.#request
    return (decode === null ? 1 : decode.latents) - this.#stateCount
  }

  #collectStates({ hiddenStates }: StepOutcome): void {
    const wanted = this.#wantedStates()
    if (hiddenStates === null || wanted <= 0) return
    const states = hiddenStates.subarray(0, wanted * this.#sizes.hiddenSize)
    this.#states.push(states)
    this.#stateCount += states.length / this.#sizes.hiddenSize
  }

  #collectThought(fed: number, { thoughtSum, trace }: StepOutcome): void {
    if (this.#thoughtFrom === null || thoughtSum === null) return
    // Without a counted position the last state is none of the row.
    if (trace !== null && this.#thoughtFrom < fed) this.#trace = addTraces(this.#trace, trace)
    this.#thoughtFrom = Math.max(0, this.#thoughtFrom - fed)
    this.#thoughtTo = Math.max(0, this.#thoughtTo - fed)
    const sum = this.#thoughtSum ?? new Float32Array(thoughtSum.length)
    this.#thoughtSum = sum.map((value, i) => value + thoughtSum[i]!)
  }
}

/**
 * Random numbers of a row, one per step: the number of a step depends neither on the lengths of the runs nor
 * on runs that failed.
 */
class StepUniforms {
  readonly #random: Random
  /** Numbers drawn for steps that have not succeeded yet. */
  #drawn: number[] = []

  constructor(random: Random) {
    this.#random = random
  }

  /** Returns the numbers of the next `steps` steps. */
  peek(steps: number): Float32Array {
    while (this.#drawn.length < steps) this.#drawn.push(this.#random.uniform())
    return Float32Array.from(this.#drawn.slice(0, steps))
  }

  /** Drops the numbers of `steps` steps that succeeded. */
  consume(steps: number): void {
    this.#drawn = this.#drawn.slice(steps)
  }
}

function concatenate(parts: readonly Float32Array[], size: number): Float32Array {
  if (parts.length === 1) return parts[0]!.slice()
  const out = new Float32Array(size)
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

function isPenalised({ temperature, sampling }: NonNullable<RowRequest['decode']>): boolean {
  return temperature > 0 && (sampling?.repetitionPenalty ?? 1) !== 1
}
