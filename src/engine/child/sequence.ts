/**
 * @file A sequence of a session: its tokens, and the cache of a prefix of them.
 *
 * Tokens that the cache does not cover are fed when they are needed. A cache can therefore be dropped at any
 * time at the price of feeding its tokens again.
 */

import { type KvView, viewLength } from './key-values.ts'
import type { PrefixCache } from './prefix-cache.ts'
import type { RowRequest } from './row.ts'
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
  readonly scheduler: Scheduler
  readonly prefixes: PrefixCache
  readonly order: RowOrder
  /** Called when the sequence has a new cache. */
  readonly onCached: () => void
}

/** Number of uses of all sequences so far, which orders their last uses. */
let uses = 0

export class Sequence {
  readonly tokens: readonly number[]
  /** Covers a prefix of `tokens`. The owner of the sequence may set it to null. */
  cache: KvView | null
  lastUsed = ++uses
  readonly #context: SequenceContext
  readonly #isPrompt: boolean
  /** State of the last token, once it was fed. */
  #state: Float32Array | null = null
  #feeding: Promise<KvView> | null = null

  constructor(tokens: readonly number[], cache: KvView | null, isPrompt: boolean, context: SequenceContext) {
    this.tokens = tokens
    this.cache = cache
    this.#isPrompt = isPrompt
    this.#context = context
  }

  touch(): void {
    this.lastUsed = ++uses
  }

  /** Returns the state of the last token, `[D]`. */
  async lastState(): Promise<Float32Array> {
    if (this.#state === null) await this.#feedOnce()
    return this.#state!
  }

  /** Returns a cache of at least all tokens but the last. */
  async cacheBeforeLast(): Promise<KvView> {
    return this.#sufficientCache() ?? (await this.#feedOnce())
  }

  #sufficientCache(): KvView | null {
    return viewLength(this.cache) >= this.tokens.length - 1 ? this.cache : null
  }

  /**
   * Feeds the tokens that are not cached, so that cache and state are known. Concurrent callers share one
   * prefill.
   */
  async #feedOnce(): Promise<KvView> {
    this.#feeding ??= this.#feed().finally(() => {
      this.#feeding = null
    })
    return await this.#feeding
  }

  async #feed(): Promise<KvView> {
    this.#reusePrefix()
    const known = this.#sufficientCache()
    if (this.#state !== null && known !== null) return known
    const { scheduler, prefixes, order, onCached } = this.#context
    const { cached, hiddenStates } = await scheduler.submit({
      past: this.cache,
      input: this.tokens.slice(viewLength(this.cache)),
      decode: null,
      keepCache: true,
      ...order,
    })
    order.signal.throwIfAborted()
    this.cache = cached
    this.#state = hiddenStates
    if (this.#isPrompt) prefixes.keep({ tokens: this.tokens, cache: cached!, state: hiddenStates })
    onCached()
    return cached!
  }

  #reusePrefix(): void {
    const { scheduler, prefixes } = this.#context
    const prefix = prefixes.find(this.tokens)
    const covered = viewLength(this.cache)
    if (prefix === null || viewLength(prefix.cache) <= covered) return
    const totals = scheduler.totals()
    totals.prefixHits += 1
    totals.prefixTokensReused += viewLength(prefix.cache) - covered
    this.cache = prefix.cache
    this.#state ??= prefix.state
  }
}
