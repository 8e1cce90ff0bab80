/** @file Runs statements and transactions; throws STORE_UNAVAILABLE when the database cannot be reached. */

import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg'
import { coerceError, ServiceError } from '#errors'
import type { CircuitBreaker } from './circuit-breaker.ts'
import { nameUse } from './connection-uses.ts'
import { FairPool } from './fair-pool.ts'
import { isBusy, isDiskFull, isReadOnly, storeError, unavailable } from './store-error.ts'
import { type TenantWall, tenantBegin } from './tenant.ts'

interface WithPool {
  readonly pool: Pool
  /** Callers pass the whole database, so that its breaker is asked too. */
  readonly breaker?: CircuitBreaker
  /** Row-level security of callers. */
  readonly wall?: TenantWall
}

export interface QueryOptions {
  /**
   * Deadline of the caller, which then gets STORE_UNAVAILABLE. A statement that was sent may still take
   * effect; one that waits for a connection is not sent.
   */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs one statement, which is its own transaction; as the tenant of `asTenant`, if any, on a walled database. The statement never has a name: the embedded database
 * has one backend for all connections, where names would clash.
 *
 * @param operation the caller's operation, for the error message
 * @throws ServiceError STORE_UNAVAILABLE when the database cannot be reached or refuses writes. Errors of
 * Postgres about the statement itself (a defect of this program) are thrown unchanged.
 */
export async function query<Row extends QueryResultRow>(
  database: WithPool,
  operation: string,
  sql: string,
  values: readonly unknown[] = [],
  { signal }: QueryOptions = {},
): Promise<QueryResult<Row>> {
  const run = (client: PoolClient) => client.query<Row>(sql, [...values])
  if (tenantBegin(database.wall) !== null) return transaction(database, operation, run, { signal })
  const client = await acquire(database, operation, signal)
  const answer = onConnection(database, operation, client, () => run(client))
  return unlessAborted(operation, signal, answer)
}

/**
 * Runs `work` in a transaction on one connection; commits when it resolves, rolls back when it throws.
 * `work` must not wait for anything slow but statements: on the embedded database all other clients wait
 * meanwhile.
 *
 * @throws ServiceError STORE_UNAVAILABLE as `query` does; errors of `work` unchanged
 */
export async function transaction<T>(
  database: WithPool,
  operation: string,
  work: (client: PoolClient) => Promise<T>,
  { signal }: QueryOptions = {},
): Promise<T> {
  const begin = tenantBegin(database.wall) ?? 'begin'
  const client = await acquire(database, operation, signal)
  const done = onConnection(database, operation, client, async (discard) => {
    try {
      await client.query(begin)
      const result = await work(client)
      await client.query('commit')
      return result
    } catch (thrown) {
      await client.query('rollback').catch(discard)
      throw thrown
    }
  })
  return unlessAborted(operation, signal, done)
}

/** Generation of the breaker in which a connection was first used. */
const generations = new WeakMap<PoolClient, number>()

/** Takes a connection from the pool; rejects when the breaker opens or the caller's deadline passes. */
async function acquire(
  { pool, breaker }: WithPool,
  operation: string,
  signal: AbortSignal | undefined,
): Promise<PoolClient> {
  const { promise: refused, reject } = Promise.withResolvers<never>()
  refused.catch(() => {})
  const refuse = () =>
    reject(unavailable(operation, breaker?.reason ?? new Error('a database that is unavailable')))
  const abort = () => reject(late(operation, signal, pool))
  if (breaker?.state === 'down') refuse()
  if (signal?.aborted) abort()
  const unwatch = breaker?.watch(refuse)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    for (;;) {
      const client = await connect(pool, refused)
      const generation = generations.get(client) ?? breaker?.generation ?? 0
      generations.set(client, generation)
      nameUse(client, operation)
      if (breaker === undefined || generation === breaker.generation) return client
      client.release(true)
    }
  } catch (thrown) {
    const error = storeError(operation, thrown)
    // Not a failure: its count would open the breaker, which abandons the statements of the busy connections.
    if (isBusy(thrown)) breaker?.suspect()
    else if (!(thrown instanceof ServiceError)) breaker?.noteFailure(coerceError(thrown))
    throw error
  } finally {
    unwatch?.()
    signal?.removeEventListener('abort', abort)
  }
}

/** Connects unless `refused` rejects first; a connection that comes too late goes back to the pool. */
async function connect(pool: Pool, refused: Promise<never>): Promise<PoolClient> {
  let isLate = false
  refused.catch(() => {
    isLate = true
  })
  // The pool throws when the connection string names a file that is missing.
  const connecting = new Promise<PoolClient>((resolve) => resolve(pool.connect()))
  connecting.then(
    (client) => {
      if (isLate) client.release()
    },
    () => {},
  )
  return Promise.race([refused, connecting])
}

/** Runs `work` on a connection, which leaves the pool when it broke or `discard` was called. */
async function onConnection<T>(
  { breaker }: WithPool,
  operation: string,
  client: PoolClient,
  work: (discard: (error: unknown) => void) => Promise<T>,
): Promise<T> {
  let broken: Error | undefined
  const discard = (error: unknown): void => {
    broken ??= coerceError(error)
  }
  // A connection that breaks between two statements emits 'error'; without a listener that ends the process.
  client.on('error', discard)
  const unwatch = breaker?.watch(() => void client.end().catch(() => {}))
  try {
    return await work(discard)
  } catch (thrown) {
    const error = storeError(operation, thrown)
    if (isDiskFull(thrown)) breaker?.noteDiskFull(coerceError(thrown))
    else if (error !== thrown) {
      discard(error)
      if (isReadOnly(thrown)) breaker?.noteReadOnly(coerceError(thrown))
      else breaker?.suspect()
    }
    throw error
  } finally {
    unwatch?.()
    if (broken === undefined) client.off('error', discard)
    client.release(broken)
  }
}

/** Settles as `answer` does, or rejects when `signal` fires first. */
async function unlessAborted<T>(
  operation: string,
  signal: AbortSignal | undefined,
  answer: Promise<T>,
): Promise<T> {
  if (signal === undefined) return answer
  answer.catch(() => {})
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(late(operation, signal))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([aborted, answer])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** @param pool the pool for whose connection the operation waited; undefined: its statement was sent */
function late(operation: string, signal: AbortSignal | undefined, pool?: Pool): ServiceError {
  const use = pool instanceof FairPool ? ` (${pool.describeUse()})` : ''
  const got = pool === undefined ? 'none' : `no connection${use}`
  return new ServiceError('STORE_UNAVAILABLE', `${operation}: expected an answer in time, got ${got}`, {
    cause: signal?.reason,
  })
}
