/**
 * @file A sequence of a session: its tokens, and the cache of a prefix of them.
 *
 * Tokens that the cache does not cover are fed when they are needed. A cache can therefore be dropped at any
 * time at the price of feeding its tokens again.
 */

import type { TokenSpan } from '#ports'
import { type KvView, truncate, viewLength } from './key-values.ts'
import type { PooledStates, PrefixCache } from './prefix-cache.ts'
import type { RowRecurrence } from './recurrent-rows.ts'
import type { FedInput, RowRequest } from './row.ts'
import type { Scheduler } from './scheduler.ts'

/** The fields that all rows of a session have in common. */
export type RowOrder = Required<
  Pick<
    RowRequest,
    | 'signal'
    | 'stopSignal'
    | 'stopAt'
    | 'session'
    | 'isolated'
    | 'priority'
    | 'caller'
    | 'dueAt'
    | 'tokenMaps'
  >
>

export interface SequenceContext {
  /** Thinking of its tokens on a depth-recurrent model, to which the cache belongs; null for an ordinary decoder. */
  readonly recurrence: RowRecurrence | null
  readonly scheduler: Scheduler
  readonly prefixes: PrefixCache
  readonly order: RowOrder
  /** Called when the sequence has a new cache. */
  readonly onCached: () => void
}

/** Feeding of a sequence by a row that goes on to decode. */
export interface Feeding {
  /** Cache of the first tokens; all others, at least two, are to be fed. */
  readonly past: KvView | null
  readonly onFed: (fed: FedInput) => void
  /** Must be called when the row has ended, fed or not. */
  ended(): void
}

/** Number of uses of all sequences so far, which orders their last uses. */
let uses = 0

export class Sequence {
  readonly tokens: readonly number[]
  /** Covers a prefix of `tokens`. The owner of the sequence may set it to null. */
  cache: KvView | null
  lastUsed = ++uses
  /** Number of leading tokens whose keys and values an earlier session had left. */
  reusedTokens = 0
  readonly #context: SequenceContext
  readonly #isPrompt: boolean
  /** State of the last token, once it was fed. */
  #state: Float32Array | null = null
  /** The states that were pooled last. */
  #pooled: PooledStates | null = null
  /** Resolves with the cache of all tokens; with null when the feeding row was ended before. */
  #feeding: Promise<KvView | null> | null = null

  constructor(tokens: readonly number[], cache: KvView | null, isPrompt: boolean, context: SequenceContext) {
    this.tokens = tokens
    this.cache = cache
    this.#isPrompt = isPrompt
    this.#context = context
  }

  get recurrence(): RowRecurrence | null {
    return this.#context.recurrence
  }

  touch(): void {
    this.lastUsed = ++uses
  }

  /** Returns the state of the last token, `[D]`. */
  async lastState(): Promise<Float32Array> {
    while (this.#state === null) await this.#feedOnce()
    return this.#state
  }

  /** Returns a cache of at least all tokens but the last. */
  async cacheBeforeLast(): Promise<KvView> {
    let cache = this.#sufficientCache()
    while (cache === null) cache = await this.#feedOnce()
    return cache
  }

  /**
   * Lets a row that decodes feed the sequence, so that its first token needs no run of its own. Returns null when the
   * sequence is fed, or is being fed.
   */
  feedByDecoding(): Feeding | null {
    if (this.#feeding !== null) return null
    this.#reusePrefix()
    if (this.#sufficientCache() !== null) return null
    const { promise, resolve } = Promise.withResolvers<KvView | null>()
    this.#feeding = promise
    const end = (cache: KvView | null) => {
      if (this.#feeding === promise) this.#feeding = null
      resolve(cache)
    }
    return {
      past: this.cache,
      onFed: ({ cached, state }) => {
        if (!this.#context.order.signal.aborted) this.#keep(cached, state)
        end(cached)
      },
      ended: () => end(null),
    }
  }

  /**
   * Returns the sum of the layer states over the tokens of a span, `[L+1, D]`. Feeds the sequence from the span on,
   * unless the same span was pooled before: a cache has no layer states.
   */
  async pooled(span: TokenSpan): Promise<Float32Array> {
    const isKnown = () => this.#pooled?.from === span.from && this.#pooled.to === span.to
    while (!isKnown()) {
      if (this.#feeding !== null) await this.#feeding
      else await this.#feedOnce(span)
    }
    return this.#pooled!.sum
  }

  #sufficientCache(): KvView | null {
    return viewLength(this.cache) >= this.tokens.length - 1 ? this.cache : null
  }

  /**
   * Feeds the tokens that are not cached, so that cache and state are known. Concurrent callers share one
   * prefill.
   */
  async #feedOnce(span: TokenSpan | null = null): Promise<KvView | null> {
    this.#feeding ??= this.#feed(span).finally(() => {
      this.#feeding = null
    })
    return await this.#feeding
  }

  async #feed(span: TokenSpan | null): Promise<KvView> {
    this.#reusePrefix()
    const known = this.#sufficientCache()
    const isPooled = span === null || (this.#pooled?.from === span.from && this.#pooled.to === span.to)
    if (isPooled && this.#state !== null && known !== null) return known
    const { scheduler, order } = this.#context
    const past =
      span === null ? this.cache : truncate(this.cache, Math.min(span.from, viewLength(this.cache)))
    const covered = viewLength(past)
    const { cached, hiddenStates, thoughtSum } = await scheduler.submit({
      past,
      input: this.tokens.slice(covered),
      ...(span !== null && { thoughtFrom: span.from - covered, thoughtTo: span.to - covered }),
      decode: null,
      keepCache: true,
      ...(this.recurrence && { recurrence: this.recurrence }),
      ...order,
    })
    order.signal.throwIfAborted()
    if (span !== null) this.#pooled = { from: span.from, to: span.to, sum: thoughtSum! }
    this.#keep(cached!, hiddenStates)
    return cached!
  }

  #keep(cache: KvView, state: Float32Array): void {
    const { prefixes, onCached } = this.#context
    this.cache = cache
    this.#state = state
    if (this.#isPrompt) {
      prefixes.keep({
        tokens: this.tokens,
        thinking: this.#thinking,
        cache,
        state,
        pooled: this.#pooled,
      })
    }
    onCached()
  }

  /** A token that stops early does so in an answer only: prompts do not depend on the tolerance. */
  get #thinking(): string {
    return this.recurrence === null ? '' : `${this.recurrence.steps} from ${this.recurrence.noise}`
  }

  #reusePrefix(): void {
    const { scheduler, prefixes } = this.#context
    const prefix = prefixes.find(this.tokens, this.#thinking)
    const covered = viewLength(this.cache)
    this.#pooled ??= prefix?.pooled ?? null
    if (prefix === null || viewLength(prefix.cache) <= covered) return
    const totals = scheduler.totals()
    totals.prefixHits += 1
    totals.prefixTokensReused += viewLength(prefix.cache) - covered
    this.reusedTokens = viewLength(prefix.cache)
    this.cache = prefix.cache
    this.#state ??= prefix.state
  }
}
