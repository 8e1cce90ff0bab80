/**
 * @file One session: a prompt, the sequences that continue it, and the rows that its calls submit.
 *
 * The prompt is prefilled once; its draft, regenerations, samples and verdicts share that cache.
 */

import { TOKEN_SIGNALS } from '#decoder'
import { hasCode, ServiceError } from '#errors'
import type {
  Continuation,
  LatentThought,
  Priority,
  ScoreRow,
  SequenceId,
  TokenMaps,
  TokenSignals,
  TokenSpan,
} from '#ports'
import type { WireRow } from '../protocol.ts'
import type { RecurrentThinking } from '../recurrent-thinking.ts'
import { type KvView, truncate, viewLength } from './key-values.ts'
import { type PrefixCache, sharedLength } from './prefix-cache.ts'
import type { RowRecurrence } from './recurrent-rows.ts'
import type { RowRequest, RowResult } from './row.ts'
import type { Scheduler } from './scheduler.ts'
import { type RowOrder, Sequence } from './sequence.ts'
import { spread } from './token-traces.ts'

export interface SessionOrder {
  readonly priority: Priority
  /** Key or address of the caller; one for all by default. */
  readonly caller?: string
  /** Milliseconds from now in which the session should be done; null: the interactive default, 30 s. */
  readonly deadlineMs: number | null
  /** Milliseconds from now after which the session will be stopped; null: not known, or never. */
  readonly stopAfterMs?: number | null
  /** Whether its rows share no run with those of other sessions; false by default. */
  readonly isolated?: boolean
  /** Maps that score the tokens of its answers; none by default. */
  readonly tokenMaps?: TokenMaps | null
  /** Of a depth-recurrent model; null by default. */
  readonly thinking?: RecurrentThinking | null
}

/** Model and caches that all sessions share. */
export interface SessionContext {
  readonly scheduler: Scheduler
  readonly prefixes: PrefixCache
  readonly hiddenSize: number
  /** L + 1; 0 when the graph gives no thoughts. */
  readonly thoughtLayers: number
  readonly contextLength: number
  readonly eosTokenIds: ReadonlySet<number>
  /**
   * Returns the logits of the LM head at `tokens`, one array per row of `states` `[R, D]`; a call may return
   * those of the first rows only, because it is bounded in time.
   */
  readonly headLogits: (states: Float32Array, tokens: readonly number[]) => Promise<Float32Array[]>
  /** Called when a sequence has a new cache. */
  readonly onCached: () => void
  /** Called with the tokens that a run has decoded for a row with a `stream`; never called by default. */
  readonly onTokens?: (session: number, stream: number, tokens: readonly number[]) => void
}

/**
 * Length from which on the beginning that suffixes of one sequence share is fed once: the others wait for the run of
 * the first one, which shorter beginnings are not worth.
 */
const MIN_SHARED_SUFFIX = 16

const DEFAULT_DEADLINE_MS = 30_000
const PROMPT: SequenceId = 0

export class Session {
  readonly #context: SessionContext
  readonly #controller = new AbortController()
  readonly #stopper = new AbortController()
  readonly #order: RowOrder
  /** By id; the prompt is the first. */
  readonly #sequences: Sequence[] = []
  /** Rows in progress that can be ended alone, by `stream`. */
  readonly #streams = new Map<number, AbortController>()

  constructor(context: SessionContext, id: number, prompt: readonly number[], order: SessionOrder) {
    const { priority, caller = '', deadlineMs, stopAfterMs, isolated = false, tokenMaps = null } = order
    const { thinking = null } = order
    this.#context = context
    // One deadline for all rows of a session: sessions that were opened first finish first.
    const dueAt = performance.now() + (deadlineMs ?? DEFAULT_DEADLINE_MS)
    this.#order = {
      signal: this.#controller.signal,
      stopSignal: this.#stopper.signal,
      stopAt: performance.now() + (stopAfterMs ?? Number.POSITIVE_INFINITY),
      session: id,
      isolated,
      priority,
      caller,
      dueAt,
      tokenMaps,
    }
    this.#add(prompt, null, thinking && { ...thinking, noise: 0 })
  }

  get sequences(): readonly Sequence[] {
    return this.#sequences
  }

  /** Returns the state of the last prompt token, `[D]`. */
  async embed(): Promise<Float32Array> {
    return await this.#sequence(PROMPT).lastState()
  }

  /**
   * Returns the layer states of the prompt, averaged over the tokens of a span.
   *
   * @throws ServiceError INTERNAL for a span that is empty or not in the prompt; MODEL_UNSUPPORTED when the graph gives
   * no layer states
   */
  async pool(span: TokenSpan): Promise<LatentThought> {
    const prompt = this.#sequence(PROMPT)
    const { from, to } = span
    if (!(from >= 0 && from < to && to <= prompt.tokens.length)) {
      const expected = `a span of the prompt of ${prompt.tokens.length} tokens`
      throw new ServiceError('INTERNAL', `pool: expected ${expected}, got [${from}, ${to})`)
    }
    if (this.#context.thoughtLayers === 0) {
      throw new ServiceError('MODEL_UNSUPPORTED', 'pool: expected a model with layer states, got one without')
    }
    return this.#thought({ thoughtSum: await prompt.pooled(span), trace: null }, to - from)!
  }

  async generate(rows: readonly WireRow[]): Promise<Continuation[]> {
    const isAlone = rows.length === 1
    return await Promise.all(rows.map((row) => this.#continueUntilStopped(row, isAlone)))
  }

  /** Returns `[rows][tokens]` logits. */
  async score(rows: readonly ScoreRow[], tokens: readonly number[]): Promise<Float32Array[]> {
    if (rows.length === 0) return []
    const { scheduler, hiddenSize, headLogits } = this.#context
    const results = await this.#feedSuffixes(rows)
    const states = new Float32Array(rows.length * hiddenSize)
    results.forEach(({ hiddenStates }, index) => {
      states.set(hiddenStates, index * hiddenSize)
    })
    const logits: Float32Array[] = []
    while (logits.length < rows.length) {
      this.#order.signal.throwIfAborted()
      const rest = states.subarray(logits.length * hiddenSize)
      logits.push(...(await scheduler.runBetweenBatches(() => headLogits(rest, tokens), this.#order.caller)))
    }
    return logits
  }

  /** Ends the session's rows: those that decode return what they have, all others fail with ABORTED. */
  stop(): void {
    this.#stopper.abort()
  }

  /** Ends one row of `generate`, which returns what it has. Does nothing when it has ended. */
  endRow(stream: number): void {
    this.#streams.get(stream)?.abort()
  }

  /** Cancels the session's rows. */
  close(): void {
    this.#controller.abort(new ServiceError('ABORTED', 'engine: the session was closed'))
  }

  #sequence(id: SequenceId): Sequence {
    const sequence = this.#sequences[id]
    if (!sequence) {
      throw new ServiceError('INTERNAL', `score: expected a sequence of this session, got number ${id}`)
    }
    sequence.touch()
    return sequence
  }

  #add(tokens: readonly number[], cache: KvView | null, recurrence: RowRecurrence | null): SequenceId {
    const { scheduler, prefixes, onCached } = this.#context
    const order = this.#order
    order.signal.throwIfAborted()
    const id = this.#sequences.length
    const context = { recurrence, scheduler, prefixes, order, onCached }
    this.#sequences.push(new Sequence(tokens, cache, id === PROMPT, context))
    onCached()
    return id
  }

  /** A row that was stopped before it could decode has decoded nothing. */
  async #continueUntilStopped(row: WireRow, isAlone: boolean): Promise<Continuation> {
    try {
      return await this.#continue(row, isAlone)
    } catch (thrown) {
      const isStopped = this.#stopper.signal.aborted && !this.#controller.signal.aborted
      if (!isStopped || !hasCode(thrown, 'ABORTED')) throw thrown
      const { prefix } = this.#answerPrefix(row)
      const from = this.#sequence(row.sequence ?? PROMPT)
      return this.#continuation({
        sequence: this.#add([...from.tokens, ...prefix], null, recurrenceOf(row, from)),
        tokens: prefix,
        latents: new Float32Array(),
        thought: null,
        signals: row.signals ? signalsAfter(prefix.length, new Float32Array()) : null,
        finish: 'aborted',
        generatedTokens: 0,
      })
    } finally {
      if (row.stream !== undefined) this.#streams.delete(row.stream)
    }
  }

  /** @param isAlone whether no other row of the call needs the sequence that the row continues */
  async #continue(row: WireRow, isAlone: boolean): Promise<Continuation> {
    const { scheduler, thoughtLayers, contextLength } = this.#context
    const from = this.#sequence(row.sequence ?? PROMPT)
    const { prefix, isEnded } = this.#answerPrefix(row)
    const start = [...from.tokens, ...prefix]
    const room = Math.min(row.maxNewTokens, contextLength - start.length)
    const recurrence = recurrenceOf(row, from)
    // Other noise than the sequence's: its cache is of no use, and all its tokens are fed again.
    const isOther = recurrence?.noise !== from.recurrence?.noise
    // Where a token of an answer may stop early, the last one of the prompt is not fed by decoding: its cache takes all steps.
    const mayFeed = isAlone && !isOther && (recurrence?.tolerance ?? null) === null
    // The last token before the answer is always fed: its states predict the answer's first token and belong
    // to its thought.
    const feeding = mayFeed && prefix.length === 0 && room > 0 ? from.feedByDecoding() : null
    const known = async () => truncate(await from.cacheBeforeLast(), from.tokens.length - 1)
    const past = isOther ? null : feeding ? feeding.past : await known()
    const covered = viewLength(past)
    const thoughtFrom = row.thought && thoughtLayers > 0 ? from.tokens.length - 1 - covered : null
    if (isEnded || room <= 0) {
      // Nothing is decoded. The last token of the answer predicts nothing, so it does not count in the
      // thought.
      return this.#continuation({
        sequence: this.#add(start, past, recurrence),
        tokens: prefix,
        latents: new Float32Array(),
        thought: await this.#thoughtOfFed(
          { past, input: start.slice(covered, -1), ...(recurrence && { recurrence }) },
          thoughtFrom,
          prefix.length,
          row,
        ),
        signals: row.signals ? signalsAfter(prefix.length, new Float32Array()) : null,
        finish: isEnded ? 'eos' : 'length',
        generatedTokens: 0,
      })
    }
    const decoding = scheduler.submit({
      past,
      input: start.slice(covered),
      ...(feeding && { onFed: feeding.onFed }),
      thoughtFrom,
      ...(recurrence && { recurrence }),
      decode: {
        temperature: row.temperature,
        ...(row.sampling && { sampling: row.sampling, seenTokens: start }),
        seed: row.seed,
        maxNewTokens: room,
        latents: row.latents,
        ...(row.signals && { signals: true }),
      },
      // The text of a judge is read, and hardly ever continued.
      keepCache: row.sequence === undefined,
      ...this.#order,
      ...this.#streaming(row),
    })
    const result = await decoding.finally(() => feeding?.ended())
    return this.#continuation({
      sequence: this.#add([...start, ...result.tokens], result.cached, recurrence),
      tokens: [...prefix, ...result.tokens],
      latents: result.hiddenStates,
      // Before the first token, the states of some of the prefix may be missing.
      thought:
        result.tokens.length === 0 ? null : this.#thought(result, prefix.length + result.tokens.length),
      signals: result.signals && signalsAfter(prefix.length, result.signals),
      finish: finishOf(result),
      generatedTokens: result.tokens.length,
      ...(recurrence && { recurrences: result.recurrences }),
    })
  }

  /** Returns what a row with a `stream` submits beside others: where its tokens go, and a signal of its own. */
  #streaming({ stream }: WireRow): Pick<RowRequest, 'onTokens' | 'stopSignal'> {
    if (stream === undefined) return {}
    const { session, stopSignal } = this.#order
    const controller = new AbortController()
    this.#streams.set(stream, controller)
    return {
      onTokens: (tokens) => this.#context.onTokens?.(session, stream, tokens),
      stopSignal: AbortSignal.any([stopSignal, controller.signal]),
    }
  }

  /**
   * Returns the prefix of an answer up to its first EOS. The prefix of a judge's turn contains ended turns
   * and stays whole.
   */
  #answerPrefix({ prefix, sequence }: WireRow): { prefix: readonly number[]; isEnded: boolean } {
    const { eosTokenIds } = this.#context
    const end = sequence === undefined ? prefix.findIndex((token) => eosTokenIds.has(token)) : -1
    return end === -1 ? { prefix, isEnded: false } : { prefix: prefix.slice(0, end + 1), isEnded: true }
  }

  #continuation({
    latents: data,
    ...rest
  }: Omit<Continuation, 'latents'> & { readonly latents: Float32Array }): Continuation {
    const { hiddenSize } = this.#context
    const { reusedTokens } = this.#sequences[PROMPT]!
    return {
      ...rest,
      latents: { data, length: data.length / hiddenSize, width: hiddenSize },
      ...(reusedTokens > 0 && { reusedPromptTokens: reusedTokens }),
    }
  }

  async #thoughtOfFed(
    fed: Pick<RowRequest, 'past' | 'input' | 'recurrence'>,
    thoughtFrom: number | null,
    answerLength: number,
    { tokenStates = 0 }: WireRow,
  ): Promise<LatentThought | null> {
    if (thoughtFrom === null || answerLength === 0) return null
    const row = {
      ...fed,
      thoughtFrom,
      tokenStates: tokenStates > 0,
      decode: null,
      keepCache: false,
      ...this.#order,
    }
    return this.#thought(await this.#context.scheduler.submit(row), answerLength, tokenStates)
  }

  #thought(
    { thoughtSum, trace }: Pick<RowResult, 'thoughtSum' | 'trace'>,
    count: number,
    tokenStates = 0,
  ): LatentThought | null {
    if (thoughtSum === null) return null
    const { thoughtLayers, hiddenSize } = this.#context
    return {
      data: thoughtSum.map((value) => value / count),
      layers: thoughtLayers,
      width: hiddenSize,
      ...(trace && { last: trace.last }),
      ...(trace?.gated && { gated: trace.gated }),
      ...(trace?.states && { tokens: spread(trace.states, trace.last.length, tokenStates) }),
    }
  }

  /**
   * Feeds the suffixes of the rows. Those of one sequence (the criteria of an answer) that begin like the first of them
   * go on from its cache.
   */
  async #feedSuffixes(rows: readonly ScoreRow[]): Promise<RowResult[]> {
    const firsts = new Map<SequenceId, { readonly row: ScoreRow; readonly fed: Promise<RowResult> }>()
    const sharesWith = (first: ScoreRow) => (row: ScoreRow) =>
      row !== first &&
      row.sequence === first.sequence &&
      sharedLength(first.suffix, row.suffix) >= MIN_SHARED_SUFFIX
    return await Promise.all(
      rows.map(async (row) => {
        const first = firsts.get(row.sequence)
        if (first === undefined) {
          const fed = this.#feedSuffix(row, null, rows.some(sharesWith(row)))
          firsts.set(row.sequence, { row, fed })
          return await fed
        }
        if (!sharesWith(first.row)(row)) return await this.#feedSuffix(row, null, false)
        const { cached } = await first.fed
        const shared = sharedLength(first.row.suffix, row.suffix)
        return await this.#feedSuffix(row, { cached: cached!, shared }, false)
      }),
    )
  }

  /** @param known cache of the sequence and of at least the first `shared` tokens of the suffix */
  async #feedSuffix(
    row: ScoreRow,
    known: { readonly cached: KvView; readonly shared: number } | null,
    keepCache: boolean,
  ): Promise<RowResult> {
    const { scheduler, contextLength } = this.#context
    const sequence = this.#sequence(row.sequence)
    const tokens = [...sequence.tokens, ...row.suffix]
    if (tokens.length > contextLength) {
      throw new ServiceError(
        'PROMPT_TOO_LONG',
        `score: expected at most ${contextLength} tokens, got ${sequence.tokens.length} and a suffix of ${row.suffix.length}`,
      )
    }
    // The last token is fed even when it is cached, because its state is the result.
    const past = known
      ? truncate(known.cached, Math.min(sequence.tokens.length + known.shared, tokens.length - 1))
      : truncate(await sequence.cacheBeforeLast(), tokens.length - 1)
    return await scheduler.submit({
      past,
      input: tokens.slice(viewLength(past)),
      ...(sequence.recurrence && { recurrence: sequence.recurrence }),
      decode: null,
      keepCache,
      ...this.#order,
    })
  }
}

/** Returns the thinking of a row: that of the sequence which it continues, with the row's own noise if it has one. */
function recurrenceOf({ noise }: WireRow, { recurrence }: Sequence): RowRecurrence | null {
  return recurrence && { ...recurrence, noise: noise ?? recurrence.noise }
}

/** Splits the signals `[tokens, TOKEN_SIGNALS]` of the tokens decoded after `given` ones. */
function signalsAfter(given: number, signals: Float32Array): TokenSignals {
  const length = given + signals.length / TOKEN_SIGNALS
  const of = (signal: number) =>
    Float32Array.from({ length }, (_, i) =>
      i < given ? Number.NaN : signals[(i - given) * TOKEN_SIGNALS + signal]!,
    )
  return { logProbabilities: of(0), entropies: of(1), selfCertainties: of(2) }
}

function finishOf({ isStopped, endedByEos }: RowResult): Continuation['finish'] {
  if (isStopped) return 'aborted'
  return endedByEos ? 'eos' : 'length'
}
