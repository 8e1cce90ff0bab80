/** @file Statements and transactions whose failures to reach the database carry STORE_UNAVAILABLE. */

import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg'
import { coerceError, ServiceError } from '#errors'

type WithPool = { readonly pool: Pool }

/**
 * Runs one statement, which is its own transaction. Never named: the embedded database has one backend for all
 * connections, and names would clash there.
 *
 * @param operation what the caller is doing, for the error's message
 * @throws ServiceError STORE_UNAVAILABLE when the database cannot be reached; what Postgres says about the statement
 * itself (a fault of ours) comes through as it is.
 */
export async function query<Row extends QueryResultRow>(
  { pool }: WithPool,
  operation: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<QueryResult<Row>> {
  try {
    return await pool.query<Row>(sql, [...values])
  } catch (thrown) {
    throw storeError(operation, thrown)
  }
}

/**
 * Runs `work` in a transaction on one connection; commits when it resolves, rolls back when it throws. Nothing slow
 * but statements belongs inside: on the embedded database everybody else waits.
 *
 * @throws ServiceError STORE_UNAVAILABLE as `query` does; whatever `work` throws
 */
export async function transaction<T>(
  { pool }: WithPool,
  operation: string,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  let client: PoolClient
  try {
    client = await pool.connect()
  } catch (thrown) {
    throw storeError(operation, thrown)
  }
  let broken: Error | undefined
  // A connection that breaks between two statements says so here; without a listener that ends the process.
  const onBroken = (error: Error): void => {
    broken = error
  }
  client.on('error', onBroken)
  try {
    await client.query('begin')
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (thrown) {
    await client.query('rollback').catch((error: unknown) => {
      broken = coerceError(error)
    })
    throw storeError(operation, thrown)
  } finally {
    if (broken === undefined) client.off('error', onBroken)
    // A broken connection must not go back to the pool.
    client.release(broken)
  }
}

/** SQLSTATE classes 08 (connection), 53 (resources) and 57P (shutdown) are the server's state, not our statement's fault. */
const UNAVAILABLE_STATE = /^(08|53|57P)/
const UNAVAILABLE_ERRNO = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)/
/** Wrong password or database: for the caller the store is just as far away. */
const REFUSED_STATE = /^(28|3D)/
/** What `pg` throws without any code. */
const UNAVAILABLE_MESSAGE = /connection terminated|timeout|not queryable|after calling end/i

function storeError(operation: string, thrown: unknown): Error {
  const error = coerceError(thrown)
  if (error instanceof ServiceError || !isUnavailable(error)) return error
  return new ServiceError(
    'STORE_UNAVAILABLE',
    `${operation}: expected the database to answer, got ${error.message || 'no connection'}`,
    { cause: error },
  )
}

function isUnavailable(error: Error): boolean {
  // Several addresses of one host that all refuse arrive together.
  if (error instanceof AggregateError) return error.errors.some((inner) => isUnavailable(coerceError(inner)))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  if (code === null) return UNAVAILABLE_MESSAGE.test(error.message)
  return UNAVAILABLE_STATE.test(code) || REFUSED_STATE.test(code) || UNAVAILABLE_ERRNO.test(code)
}
