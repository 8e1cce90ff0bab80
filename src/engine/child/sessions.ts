/**
 * @file The open sessions of an engine process, and the memory budget of their caches.
 *
 * Prompts outlive their sessions while there is room: another prompt that begins alike is fed from where the
 * two differ.
 */

import { ServiceError } from '#errors'
import type { Continuation, LatentThought, ScoreRow, TokenSpan } from '#ports'
import type { WireRow } from '../protocol.ts'
import { bytesPerPosition, type KvBlock, type KvLayout, partsOf } from './key-values.ts'
import { createPrefixCache, type PrefixLimits } from './prefix-cache.ts'
import { Session, type SessionContext, type SessionOrder } from './session.ts'

interface SessionsLoad {
  readonly sessions: number
  /**
   * Caches kept, including those of prompts kept for later sessions, and their bytes; shared memory counts
   * once.
   */
  readonly cachedSequences: number
  readonly cacheBytes: number
  /** Prompts kept for later sessions. */
  readonly keptPrompts: number
}

const DEFAULT_ORDER: SessionOrder = { priority: 'interactive', deadlineMs: null }

/** Calls by session; the caller of `open` chooses the ids. */
export interface Sessions {
  open(session: number, prompt: readonly number[], order?: SessionOrder): void
  /** Returns the state of the last prompt token, `[D]`. */
  embed(session: number): Promise<Float32Array>
  /** Returns the layer states of the prompt, averaged over a span of it, `[L+1, D]`. */
  pool(session: number, span: TokenSpan): Promise<LatentThought>
  generate(session: number, rows: readonly WireRow[]): Promise<Continuation[]>
  /** Returns `[rows][tokens]` logits. */
  score(session: number, rows: readonly ScoreRow[], tokens: readonly number[]): Promise<Float32Array[]>
  /**
   * Ends the session's rows when the current run ends: rows that decode return what they have, all others fail
   * with ABORTED. Idempotent.
   */
  stop(session: number): void
  /** Ends one row of `generate` when the current run ends: it returns what it has. Idempotent. */
  endRow(session: number, stream: number): void
  /** Cancels the session's rows and frees its caches. Idempotent. */
  close(session: number): void
  load(): SessionsLoad
}

export function createSessions(
  deps: Omit<SessionContext, 'prefixes' | 'eosTokenIds' | 'onCached'> & {
    readonly layout: KvLayout
    readonly eosTokenIds: readonly number[]
    /**
     * Upper bound on the bytes of caches kept between runs. Beyond it, prompts kept for later sessions are
     * dropped first, then the least recently used caches.
     */
    readonly cacheBytes: number
    readonly prefixes: PrefixLimits
  },
): Sessions {
  const positionBytes = bytesPerPosition(deps.layout)
  const sessions = new Map<number, Session>()
  const prefixes = createPrefixCache(deps.prefixes)
  const context: SessionContext = {
    ...deps,
    prefixes,
    eosTokenIds: new Set(deps.eosTokenIds),
    onCached: dropBeyondBudget,
  }

  function sessionOf(id: number): Session {
    const session = sessions.get(id)
    if (session) return session
    throw new ServiceError('ABORTED', `engine: expected an open session, got ${id}, which is closed`)
  }

  const openSequences = () => [...sessions.values()].flatMap(({ sequences }) => sequences)
  const caches = () => [...openSequences().flatMap(({ cache }) => cache ?? []), ...prefixes.caches()]
  const blocks = (): Set<KvBlock> =>
    new Set(
      caches()
        .flatMap(partsOf)
        .map(({ block }) => block),
    )
  const bytes = () => [...blocks()].reduce((sum, { rows, length }) => sum + rows * length, 0) * positionBytes

  function dropBeyondBudget(): void {
    while (bytes() > deps.cacheBytes && prefixes.dropOldest());
    if (bytes() <= deps.cacheBytes) return
    for (const sequence of openSequences().sort((a, b) => a.lastUsed - b.lastUsed)) {
      sequence.cache = null
      if (bytes() <= deps.cacheBytes) return
    }
  }

  return {
    open(id, prompt, order = DEFAULT_ORDER) {
      sessions.set(id, new Session(context, id, prompt, order))
    },
    embed: async (id) => await sessionOf(id).embed(),
    pool: async (id, span) => await sessionOf(id).pool(span),
    generate: async (id, rows) => await sessionOf(id).generate(rows),
    score: async (id, rows, tokens) => await sessionOf(id).score(rows, tokens),
    stop: (id) => sessions.get(id)?.stop(),
    endRow: (id, stream) => sessions.get(id)?.endRow(stream),
    close(id) {
      sessions.get(id)?.close()
      sessions.delete(id)
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
