/**
 * @file The sessions of the engine process: what each keeps between calls, and how calls become rows.
 *
 * A sequence is its tokens plus the cache of some prefix of them; whatever is not covered is fed when it is needed. A prompt is
 * therefore prefilled once and shared by its draft, regenerations, samples and verdicts, and a cache can be dropped
 * at any time at the price of feeding the tokens again. Prompts outlive their sessions while there is room: another prompt that
 * begins alike is fed from where they part.
 */

import { ServiceError } from '#errors'
import type { Continuation, GenerationRow, LatentThought, Priority, ScoreRow, SequenceId } from '#ports'
import {
  bytesPerPosition,
  type KvBlock,
  type KvLayout,
  type KvView,
  truncate,
  viewLength,
} from './key-values.ts'
import { createPrefixCache, type PrefixLimits } from './prefix-cache.ts'
import type { RowResult } from './row.ts'
import type { Scheduler } from './scheduler.ts'

interface SessionsLoad {
  readonly sessions: number
  /** Caches kept, those of prompts kept for later sessions included, and their bytes: what is shared counts once. */
  readonly cachedSequences: number
  readonly cacheBytes: number
  /** Prompts kept for later sessions. */
  readonly keptPrompts: number
}

interface SessionOrder {
  readonly priority: Priority
  /** Milliseconds from now in which the session should be done; null: as patient as people are. */
  readonly deadlineMs: number | null
}

const DEFAULT_ORDER: SessionOrder = { priority: 'interactive', deadlineMs: null }
const DEFAULT_DEADLINE_MS = 30_000

/** Calls by session; ids are chosen by the caller of `open`. */
export interface Sessions {
  open(session: number, prompt: readonly number[], order?: SessionOrder): void
  /** State of the last prompt token, `[D]`. */
  embed(session: number): Promise<Float32Array>
  generate(session: number, rows: readonly GenerationRow[]): Promise<Continuation[]>
  /** `[rows][tokens]` logits. */
  score(session: number, rows: readonly ScoreRow[], tokens: readonly number[]): Promise<Float32Array[]>
  /** Cancels the session's rows and frees its caches. Idempotent. */
  close(session: number): void
  load(): SessionsLoad
}

interface Sequence {
  readonly tokens: readonly number[]
  /** Covers a prefix of `tokens`. */
  cache: KvView | null
  /** State of the last token, once it was fed. */
  state: Float32Array | null
  filling: Promise<KvView> | null
  lastUsed: number
}

interface Session {
  readonly controller: AbortController
  /** What all its rows have in common. */
  readonly common: { readonly signal: AbortSignal; readonly priority: Priority; readonly dueAt: number }
  readonly sequences: Map<SequenceId, Sequence>
}

const PROMPT: SequenceId = 0

export function createSessions(deps: {
  readonly scheduler: Scheduler
  readonly layout: KvLayout
  readonly hiddenSize: number
  /** L + 1; 0 when the graph gives no thoughts: then there are none. */
  readonly thoughtLayers: number
  readonly contextLength: number
  readonly eosTokenIds: readonly number[]
  /**
   * Most bytes of caches kept between runs. Beyond them prompts kept for later sessions are dropped, then the least recently
   * used caches.
   */
  readonly cacheBytes: number
  readonly prefixes: PrefixLimits
  /** Logits of the LM head at `tokens`, one array per row of `states` `[R, D]`. */
  readonly headLogits: (states: Float32Array, tokens: readonly number[]) => Promise<Float32Array[]>
}): Sessions {
  const { scheduler } = deps
  const eosTokenIds = new Set(deps.eosTokenIds)
  const positionBytes = bytesPerPosition(deps.layout)
  const sessions = new Map<number, Session>()
  const prefixes = createPrefixCache(deps.prefixes)
  let clock = 0

  function sessionOf(id: number): Session {
    const session = sessions.get(id)
    if (session) return session
    throw new ServiceError('ABORTED', `engine: expected an open session, got ${id}, which is closed`)
  }

  function sequenceOf(session: Session, id: SequenceId): Sequence {
    const sequence = session.sequences.get(id)
    if (!sequence) {
      throw new ServiceError('INTERNAL', `score: expected a sequence of this session, got number ${id}`)
    }
    sequence.lastUsed = ++clock
    return sequence
  }

  function addSequence(session: Session, tokens: readonly number[], cache: KvView | null): SequenceId {
    session.controller.signal.throwIfAborted()
    const id = session.sequences.size
    session.sequences.set(id, { tokens, cache, state: null, filling: null, lastUsed: ++clock })
    dropBeyondBudget()
    return id
  }

  /** A cache of the sequence: at least all tokens but the last. */
  async function cacheOf(session: Session, sequence: Sequence): Promise<KvView> {
    return isCached(sequence) ? sequence.cache : await fed(session, sequence)
  }

  /** Feeds what is not cached, so that cache and state are known. Concurrent callers share one prefill. */
  async function fed(session: Session, sequence: Sequence): Promise<KvView> {
    sequence.filling ??= fill(session, sequence).finally(() => {
      sequence.filling = null
    })
    return await sequence.filling
  }

  async function fill(session: Session, sequence: Sequence): Promise<KvView> {
    reusePrefix(sequence)
    if (sequence.state !== null && isCached(sequence)) return sequence.cache
    const covered = viewLength(sequence.cache)
    const { cached, hiddenStates } = await scheduler.submit({
      past: sequence.cache,
      input: sequence.tokens.slice(covered),
      decode: null,
      keepCache: true,
      ...session.common,
    })
    session.controller.signal.throwIfAborted()
    sequence.cache = cached
    sequence.state = hiddenStates
    if (sequence === session.sequences.get(PROMPT)) {
      prefixes.keep({ tokens: sequence.tokens, cache: cached!, state: hiddenStates })
    }
    dropBeyondBudget()
    return cached!
  }

  function reusePrefix(sequence: Sequence): void {
    const prefix = prefixes.find(sequence.tokens)
    const covered = viewLength(sequence.cache)
    if (prefix === null || viewLength(prefix.cache) <= covered) return
    const totals = scheduler.totals()
    totals.prefixHits += 1
    totals.prefixTokensReused += viewLength(prefix.cache) - covered
    sequence.cache = prefix.cache
    sequence.state ??= prefix.state
  }

  const openSequences = () => [...sessions.values()].flatMap(({ sequences }) => [...sequences.values()])
  const caches = () => [...openSequences().flatMap(({ cache }) => cache ?? []), ...prefixes.caches()]
  const blocks = (): Set<KvBlock> => new Set(caches().map(({ block }) => block))
  const bytes = () => [...blocks()].reduce((sum, { rows, length }) => sum + rows * length, 0) * positionBytes

  function dropBeyondBudget(): void {
    while (bytes() > deps.cacheBytes && prefixes.dropOldest());
    if (bytes() <= deps.cacheBytes) return
    for (const sequence of openSequences().sort((a, b) => a.lastUsed - b.lastUsed)) {
      sequence.cache = null
      if (bytes() <= deps.cacheBytes) return
    }
  }

  async function continueSequence(session: Session, row: GenerationRow): Promise<Continuation> {
    const from = sequenceOf(session, row.sequence ?? PROMPT)
    // A judge's turn follows answers and turns that have ended.
    const end = row.sequence === undefined ? row.prefix.findIndex((token) => eosTokenIds.has(token)) : -1
    const prefix = end === -1 ? row.prefix : row.prefix.slice(0, end + 1)
    const start = [...from.tokens, ...prefix]
    const room = Math.min(row.maxNewTokens, deps.contextLength - start.length)
    // The last token before the answer is always fed: its states predict the first of the answer, and belong to its thought.
    const cache = truncate(await cacheOf(session, from), from.tokens.length - 1)
    const covered = viewLength(cache)
    const thoughtFrom = row.thought && deps.thoughtLayers > 0 ? from.tokens.length - 1 - covered : null
    if (end !== -1 || room <= 0) {
      return {
        sequence: addSequence(session, start, cache),
        tokens: prefix,
        latents: { data: new Float32Array(), length: 0, width: deps.hiddenSize },
        thought: await thoughtOfFed(session, cache, start.slice(covered, -1), thoughtFrom, prefix.length),
        finish: end === -1 ? 'length' : 'eos',
        generatedTokens: 0,
      }
    }
    const result = await scheduler.submit({
      past: cache,
      input: start.slice(covered),
      thoughtFrom,
      decode: {
        temperature: row.temperature,
        seed: row.seed,
        maxNewTokens: room,
        latents: row.latents,
      },
      // What a judge wrote is read, and hardly ever continued.
      keepCache: row.sequence === undefined,
      ...session.common,
    })
    return {
      sequence: addSequence(session, [...start, ...result.tokens], result.cached),
      tokens: [...prefix, ...result.tokens],
      latents: {
        data: result.hiddenStates,
        length: result.hiddenStates.length / deps.hiddenSize,
        width: deps.hiddenSize,
      },
      thought: meanOf(result.thoughtSum, prefix.length + result.tokens.length),
      finish: result.endedByEos ? 'eos' : 'length',
      generatedTokens: result.tokens.length,
    }
  }

  /** The thought of an answer that is not decoded, only fed: `input` ends before its last token, which predicts nothing. */
  async function thoughtOfFed(
    session: Session,
    past: KvView | null,
    input: readonly number[],
    thoughtFrom: number | null,
    answerLength: number,
  ): Promise<LatentThought | null> {
    if (thoughtFrom === null || answerLength === 0) return null
    const row = { past, input, thoughtFrom, decode: null, keepCache: false, ...session.common }
    return meanOf((await scheduler.submit(row)).thoughtSum, answerLength)
  }

  function meanOf(sum: Float32Array | null, count: number): LatentThought | null {
    if (sum === null) return null
    return { data: sum.map((value) => value / count), layers: deps.thoughtLayers, width: deps.hiddenSize }
  }

  async function feedSuffix(session: Session, row: ScoreRow): Promise<RowResult> {
    const sequence = sequenceOf(session, row.sequence)
    const tokens = [...sequence.tokens, ...row.suffix]
    if (tokens.length > deps.contextLength) {
      throw new ServiceError(
        'PROMPT_TOO_LONG',
        `score: expected at most ${deps.contextLength} tokens, got ${sequence.tokens.length} and a suffix of ${row.suffix.length}`,
      )
    }
    // The last token is fed even when it is cached: its state is what is asked for.
    const past = truncate(await cacheOf(session, sequence), tokens.length - 1)
    return await scheduler.submit({
      past,
      input: tokens.slice(viewLength(past)),
      decode: null,
      keepCache: false,
      ...session.common,
    })
  }

  return {
    open(id, prompt, { priority, deadlineMs } = DEFAULT_ORDER) {
      const controller = new AbortController()
      // By session, not by row: what was begun is finished before the next is begun.
      const dueAt = performance.now() + (deadlineMs ?? DEFAULT_DEADLINE_MS)
      const common = { signal: controller.signal, priority, dueAt }
      const session: Session = { controller, common, sequences: new Map() }
      sessions.set(id, session)
      addSequence(session, prompt, null)
    },
    async embed(id) {
      const session = sessionOf(id)
      const prompt = sequenceOf(session, PROMPT)
      if (prompt.state === null) await fed(session, prompt)
      return prompt.state!
    },
    async generate(id, rows) {
      const session = sessionOf(id)
      return await Promise.all(rows.map((row) => continueSequence(session, row)))
    },
    async score(id, rows, tokens) {
      const session = sessionOf(id)
      if (rows.length === 0) return []
      const results = await Promise.all(rows.map((row) => feedSuffix(session, row)))
      const states = new Float32Array(rows.length * deps.hiddenSize)
      results.forEach(({ hiddenStates }, index) => {
        states.set(hiddenStates, index * deps.hiddenSize)
      })
      return await scheduler.runBetweenBatches(() => deps.headLogits(states, tokens))
    },
    close(id) {
      const session = sessions.get(id)
      if (!session) return
      sessions.delete(id)
      session.controller.abort(new ServiceError('ABORTED', 'engine: the session was closed'))
    },
    load() {
      return {
        sessions: sessions.size,
        cachedSequences: blocks().size,
        cacheBytes: bytes(),
        keptPrompts: prefixes.caches().length,
      }
    },
  }
}

function isCached(sequence: Sequence): sequence is Sequence & { readonly cache: KvView } {
  return sequence.cache !== null && viewLength(sequence.cache) >= sequence.tokens.length - 1
}
