/** @file From the key of a request to its caller. */

import { hasCode, ServiceError } from '#errors'
import { hashKey, type KeyStore, type Lookup } from './key-store.ts'
import { type KeyLimits, NO_LIMITS } from './limits.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** Life of a cached look-up: a revocation reaches every process within five seconds. */
const CACHE_MS = 4_000
/** Age up to which a look-up is used while the database does not answer. */
const MAX_STALE_MS = 600_000
/** Bound on cached look-ups; the oldest is forgotten first. */
const MAX_CACHED = 10_000
/** What callers without a key may do before the database has answered once: no episode can be read then. */
const BEFORE_THE_DATABASE: readonly Scope[] = ['solve', 'metrics']

/** Caller of a request. */
export interface Caller {
  /** null: the caller has sent no key. */
  readonly keyId: string | null
  readonly tenantId: string
  readonly scopes: readonly Scope[]
  readonly limits: KeyLimits
}

/** Caller of a service without keys. */
export const ANYBODY: Caller = { keyId: null, tenantId: 'default', scopes: SCOPES, limits: NO_LIMITS }

/**
 * Returns the caller of a request, who has the scope.
 *
 * @param key null: the request has none
 * @param scope null: any scope will do
 * @throws ServiceError KEY_INVALID for a missing, unknown or revoked key; SCOPE_MISSING; STORE_UNAVAILABLE while
 *   the database does not answer and no look-up of the last ten minutes helps
 */
export type Authenticate = (key: string | null, scope: Scope | null) => Promise<Caller>

export interface AuthenticatorOptions {
  readonly store: Pick<KeyStore, 'find'>
  /** Whether callers need no key as long as none was ever created; they have all scopes then. */
  readonly allowAnonymous: boolean
  /** Returns milliseconds that never go back. */
  readonly clock?: () => number
}

interface Cached {
  readonly at: number
  readonly lookup: Promise<Lookup>
}

/** Creates the check of keys for one process. Requests with the same key share a look-up. */
export function createAuthenticator({
  store,
  allowAnonymous,
  clock = () => performance.now(),
}: AuthenticatorOptions): Authenticate {
  const cache = new Map<string, Cached>()
  /** Whether a key is known to exist: then callers need one, also while the database does not answer. */
  let isClosed = !allowAnonymous

  function lookUp(key: string | null): Promise<Lookup> {
    const hash = key === null ? null : hashKey(key)
    const name = hash?.toString('base64') ?? ''
    const known = cache.get(name)
    const now = clock()
    if (known !== undefined && now - known.at < CACHE_MS) return known.lookup
    const lookup = store.find(hash).then(
      (found) => {
        isClosed ||= found.anyKeys
        return found
      },
      (thrown: unknown) => {
        // Not kept: the next request asks again.
        if (cache.get(name)?.lookup === lookup) cache.delete(name)
        const isRecent = known !== undefined && now - known.at < MAX_STALE_MS
        if (!isRecent || !hasCode(thrown, 'STORE_UNAVAILABLE')) throw thrown
        // Its age stays, so that it ends.
        cache.set(name, known)
        return known.lookup
      },
    )
    cache.delete(name)
    cache.set(name, { at: now, lookup })
    for (const [oldest] of cache) {
      if (cache.size <= MAX_CACHED) break
      cache.delete(oldest)
    }
    return lookup
  }

  /**
   * Returns null, in place of an error, for what callers without a key may do before the database has answered. One
   * with a key may belong to another tenant than theirs, whose episodes it must not read and write.
   */
  async function lookUpOrNull(key: string | null, scope: Scope | null): Promise<Lookup | null> {
    try {
      return await lookUp(key)
    } catch (thrown) {
      const mayGoOn = key === null && !isClosed && (scope === null || BEFORE_THE_DATABASE.includes(scope))
      if (mayGoOn && hasCode(thrown, 'STORE_UNAVAILABLE')) return null
      throw thrown
    }
  }

  return async (key, scope) => {
    const lookup = await lookUpOrNull(key, scope)
    if (!isClosed)
      return lookup === null && scope === null ? { ...ANYBODY, scopes: BEFORE_THE_DATABASE } : ANYBODY
    if (lookup?.found == null) {
      const got = key === null ? 'none' : 'an unknown or revoked one'
      throw new ServiceError('KEY_INVALID', `authorization: expected Bearer and an API key, got ${got}`)
    }
    const { id: keyId, tenantId, scopes, rate, tokens } = lookup.found
    if (scope !== null && !scopes.includes(scope)) {
      const got = scopes.join(', ')
      throw new ServiceError('SCOPE_MISSING', `api key: expected the scope ${scope}, got ${got}`)
    }
    return { keyId, tenantId, scopes, limits: { rate, tokens } }
  }
}
