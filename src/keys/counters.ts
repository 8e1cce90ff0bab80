/** @file Counters of used limits, which all processes share: in Redis if there is one, else in Postgres. */

import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRedis,
} from 'rate-limiter-flexible'
import { type Database, query } from '#database'

/** State of a counter. */
export interface Count {
  readonly points: number
  /** Time, in ms, until the counter starts again. */
  readonly leftMs: number
}

export interface Counters {
  /** Adds to a counter, which starts again `seconds` after the first addition. */
  add(name: string, points: number, seconds: number): Promise<Count>
  /** Returns null for a counter without points. */
  read(name: string): Promise<Count | null>
}

/** Connection to Redis that fails at once while Redis does not answer. */
export interface RedisConnection {
  /** A client of ioredis. */
  readonly client: unknown
  /** Returns the prefix of all keys of this deployment. */
  readonly keyPrefix: () => Promise<string>
}

/** The counts are compared by the limiter, which knows the limits; the library only counts. */
const UNLIMITED = { points: Number.MAX_SAFE_INTEGER, duration: 1, keyPrefix: '' } as const
const STATEMENT_TIMEOUT_MS = 1_000

/** Creates counters that all processes of a deployment share. Their methods throw while the store does not answer. */
export function createSharedCounters({
  database,
  redis,
}: {
  readonly database: Pick<Database, 'pool'>
  /** null: the counters are in the database. */
  readonly redis: RedisConnection | null
}): Counters {
  return redis === null ? countersInPostgres(database) : countersInRedis(redis)
}

/** Creates counters of this process alone. */
export function createOwnCounters(): Counters {
  return countersOf(new RateLimiterMemory(UNLIMITED))
}

function countersInPostgres(database: Pick<Database, 'pool'>): Counters {
  const storeClient = {
    // Without the name of the statement: the embedded database has one backend, where names would clash.
    query: ({ text, values }: { readonly text: string; readonly values: readonly unknown[] }) =>
      query(database, 'count use of a key', text, values, {
        signal: AbortSignal.timeout(STATEMENT_TIMEOUT_MS),
      }),
  }
  const limiter = new RateLimiterPostgres({
    ...UNLIMITED,
    storeClient,
    storeType: 'client',
    tableName: 'limit_counters',
    tableCreated: true,
    clearExpiredByTimeout: false,
  })
  return countersOf(limiter)
}

function countersInRedis({ client, keyPrefix }: RedisConnection): Counters {
  const counters = countersOf(new RateLimiterRedis({ ...UNLIMITED, storeClient: client }))
  const nameOf = async (name: string) => `${await keyPrefix()}:limits:${name}`
  return {
    add: async (name, points, seconds) => counters.add(await nameOf(name), points, seconds),
    read: async (name) => counters.read(await nameOf(name)),
  }
}

function countersOf(limiter: RateLimiterAbstract): Counters {
  return {
    async add(name, points, seconds) {
      const { consumedPoints, msBeforeNext } = await limiter.penalty(name, points, {
        customDuration: seconds,
      })
      return { points: consumedPoints, leftMs: msBeforeNext }
    },
    async read(name) {
      const found = await limiter.get(name)
      return found && { points: found.consumedPoints, leftMs: found.msBeforeNext }
    },
  }
}
