/** @file Counts what keys use, and decides whether a request is within the limits of its key. */

import { coerceError } from '#errors'
import type { Caller } from './authenticator.ts'
import { type Count, type Counters, createOwnCounters } from './counters.ts'
import type { Allowance } from './limits.ts'

/** Time, in ms, for which this process counts alone after the shared counters did not answer. */
const OUTAGE_MS = 5_000

/** State of a limit after a request. */
export interface Quota {
  readonly name: 'requests' | 'tokens'
  readonly limit: number
  readonly windowSeconds: number
  readonly remaining: number
  /** Seconds until the whole amount is there again. */
  readonly resetSeconds: number
}

interface Verdict {
  /** One for each limit of the key. */
  readonly quotas: readonly Quota[]
  /** The limit that refuses the request and ends last; null: the request is within all limits. */
  readonly exceeded: Quota | null
}

export interface Limiter {
  /** Counts a request. Refused ones count, too. Never rejects. */
  take(caller: Pick<Caller, 'keyId' | 'limits'>): Promise<Verdict>
  /** Counts the tokens of a request that has ended. Never rejects. */
  spend(caller: Pick<Caller, 'keyId' | 'limits'>, tokens: number): Promise<void>
}

export interface LimiterOptions {
  /** Counters that all processes share. */
  readonly counters: Counters
  readonly logger: { warn(details: object, message: string): void; info(message: string): void }
  /** Returns milliseconds that never go back. */
  readonly clock?: () => number
}

/**
 * Creates the limiter. While the shared counters do not answer, each process counts by itself: limits then hold in
 * each process, not in all of them together. Requests are not refused for an outage.
 */
export function createLimiter({
  counters,
  logger,
  clock = () => performance.now(),
}: LimiterOptions): Limiter {
  const own = createOwnCounters()
  let failedAt = Number.NEGATIVE_INFINITY
  let isOut = false

  async function count<T>(ask: (from: Counters) => Promise<T>): Promise<T> {
    if (clock() - failedAt < OUTAGE_MS) return ask(own)
    try {
      const answer = await ask(counters)
      if (isOut) logger.info('limits of keys: shared counters available again')
      isOut = false
      return answer
    } catch (thrown) {
      failedAt = clock()
      const err = coerceError(thrown)
      if (!isOut)
        logger.warn({ err }, 'limits of keys: shared counters unavailable, each process counts alone')
      isOut = true
      return ask(own)
    }
  }

  async function takeRequest(keyId: string, rate: Allowance): Promise<[Quota, boolean]> {
    const used = await count((from) => from.add(nameOf(keyId, 'requests', rate), 1, rate.seconds))
    return [quotaOf('requests', rate, used), used.points > rate.amount]
  }

  async function lookAtTokens(keyId: string, tokens: Allowance): Promise<[Quota, boolean]> {
    const found = await count((from) => from.read(nameOf(keyId, 'tokens', tokens)))
    const used = found ?? { points: 0, leftMs: tokens.seconds * 1_000 }
    return [quotaOf('tokens', tokens, used), used.points >= tokens.amount]
  }

  return {
    async take({ keyId, limits }) {
      const { rate, tokens } = limits
      if (keyId === null || (rate === null && tokens === null)) return { quotas: [], exceeded: null }
      const found = await Promise.all([
        ...(rate === null ? [] : [takeRequest(keyId, rate)]),
        ...(tokens === null ? [] : [lookAtTokens(keyId, tokens)]),
      ])
      const exceeded = found.filter(([, isExceeded]) => isExceeded).map(([quota]) => quota)
      const [last = null] = exceeded.sort((one, other) => other.resetSeconds - one.resetSeconds)
      return { quotas: found.map(([quota]) => quota), exceeded: last }
    },
    async spend({ keyId, limits: { tokens: allowance } }, tokens) {
      if (keyId === null || allowance === null || tokens <= 0) return
      await count((from) => from.add(nameOf(keyId, 'tokens', allowance), tokens, allowance.seconds))
    },
  }
}

/** A window of another length is another counter. */
function nameOf(keyId: string, what: Quota['name'], { seconds }: Allowance): string {
  return `${keyId}:${what}:${seconds}`
}

function quotaOf(name: Quota['name'], { amount, seconds }: Allowance, { points, leftMs }: Count): Quota {
  return {
    name,
    limit: amount,
    windowSeconds: seconds,
    remaining: Math.max(0, amount - points),
    resetSeconds: Math.max(1, Math.ceil(leftMs / 1_000)),
  }
}
