/** @file `Idempotency-Key`: a request that is sent again gets the answer of the first one. */

import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { EpisodeStore } from '#episodes'
import { coerceError, hasCode, ServiceError } from '#errors'
import type { IdempotencyStore, Ownership } from '#keys'
import { refusals } from './responses.ts'
import { prefersAsync } from './routes/solutions.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route answers a repeated `Idempotency-Key` once, by `reply.once`. */
    idempotent?: boolean
  }
  interface FastifyReply {
    /**
     * Returns what `work` returns. With an `Idempotency-Key`, only the first of equal requests works; the others get
     * its result, as JSON keeps it, and wait for it while it is not there. If the first fails, or its process dies, one
     * of the others takes over. Errors are not kept.
     *
     * @param work gets the id that its solution and episode must have; null without the header
     * @throws ServiceError IDEMPOTENCY_KEY_REUSED, STORE_UNAVAILABLE, ABORTED
     */
    once<Result>(signal: AbortSignal, work: (id: string | null) => Promise<Result>): Promise<Result>
  }
}

/** Interval, in ms, at which a request looks for the answer of another one. */
const POLL_MS = 200
/** Interval, in ms, at which a working request renews its lease. */
const RENEW_MS = 4_000

const headers = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7E]{1,255}$',
      description:
        'Key of the request, chosen by the caller, such as a UUID. Within 24 hours, the same request with the same key gets the same answer and makes one episode, also while the first is running; another request with this key of the tenant is refused.',
    }),
  ),
})

export interface IdempotencyDeps {
  /** Unless given, the header is ignored. */
  readonly store: IdempotencyStore | undefined
  readonly episodes: Pick<EpisodeStore, 'remove'>
}

/** Adds `reply.once`, and the header and its error to the contract of idempotent routes. */
export function answerOnce(app: FastifyInstance, { store, episodes }: IdempotencyDeps): void {
  app.addHook('onRoute', ({ url, config, schema }) => {
    if (!config?.idempotent || schema === undefined) return
    schema.headers = headers
    schema.response = { ...refusals(url, 422), ...(schema.response as object) }
  })

  app.decorateReply('once', async function <
    Result,
  >(this: FastifyReply, signal: AbortSignal, work: (id: string | null) => Promise<Result>): Promise<Result> {
    const { request } = this
    const key = request.headers['idempotency-key']
    if (typeof key !== 'string' || store === undefined) return work(null)
    const hash = hashOf(request)
    for (;;) {
      const claim = await store.claim(request.tenantId, key, hash)
      if (claim.state === 'answered') {
        this.header('idempotent-replayed', 'true')
        return claim.result as Result
      }
      if (claim.state === 'other-request')
        throw new ServiceError(
          'IDEMPOTENCY_KEY_REUSED',
          'idempotency-key: expected a key of this request, got one that belongs to another request',
        )
      if (claim.state === 'own') {
        const result = await workAsOwner(request, { store, episodes }, claim.ownership, work)
        if (result !== null) return result.value
      }
      await pause(signal)
    }
  })
}

/** Returns null when another process has taken over: its answer counts. */
async function workAsOwner<Result>(
  { log }: FastifyRequest,
  { store, episodes }: IdempotencyDeps & { readonly store: IdempotencyStore },
  ownership: Ownership,
  work: (id: string | null) => Promise<Result>,
): Promise<{ readonly value: Result } | null> {
  // A renewal that fails lets the lease end: another process then takes over.
  const renewing = setInterval(() => void store.renew(ownership).catch(() => {}), RENEW_MS)
  try {
    if (ownership.isTakenOver) await forget(episodes, ownership)
    const value = await work(ownership.answerId)
    const isOwn = await store.complete(ownership, value).catch((thrown: unknown) => {
      log.warn({ err: coerceError(thrown) }, 'answer not kept for its idempotency key')
      return true
    })
    return isOwn ? { value } : null
  } catch (thrown) {
    // If this fails too, the next request waits for the end of the lease.
    await store.release(ownership).catch(() => {})
    throw thrown
  } finally {
    clearInterval(renewing)
  }
}

/** Deletes the episode of a process that died before it could answer: there will be one, that of the answer. */
async function forget(
  episodes: Pick<EpisodeStore, 'remove'>,
  { tenantId, answerId }: Ownership,
): Promise<void> {
  try {
    await episodes.remove(tenantId, answerId)
  } catch (thrown) {
    if (!hasCode(thrown, 'EPISODE_NOT_FOUND')) throw thrown
  }
}

/** An answer in the background is another answer. */
function hashOf({ method, routeOptions, headers, body }: FastifyRequest): Buffer {
  const isAsync = prefersAsync(headers['prefer'])
  const text = `${method} ${routeOptions.url} ${isAsync}\n${JSON.stringify(body)}`
  return createHash('sha256').update(text).digest()
}

async function pause(signal: AbortSignal): Promise<void> {
  try {
    await delay(POLL_MS, undefined, { signal })
  } catch {
    throw new ServiceError('ABORTED', 'idempotency-key: caller disconnected while it waited')
  }
}
