/** @file Runs statements and transactions; throws STORE_UNAVAILABLE when the database cannot be reached. */

import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg'
import { coerceError, ServiceError } from '#errors'

type WithPool = { readonly pool: Pool }

/**
 * Runs one statement, which is its own transaction. The statement never has a name: the embedded database
 * has one backend for all connections, where names would clash.
 *
 * @param operation the caller's operation, for the error message
 * @throws ServiceError STORE_UNAVAILABLE when the database cannot be reached. Errors of Postgres about the
 * statement itself (a defect of this program) are thrown unchanged.
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
 * Runs `work` in a transaction on one connection; commits when it resolves, rolls back when it throws.
 * `work` must not wait for anything slow but statements: on the embedded database all other clients wait
 * meanwhile.
 *
 * @throws ServiceError STORE_UNAVAILABLE as `query` does; errors of `work` unchanged
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
  // A connection that breaks between two statements emits 'error' here; without a listener that ends the
  // process.
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

/**
 * SQLSTATE classes of the server's state, not of a wrong statement: 08 connection, 53 resources, 57P
 * shutdown.
 */
const UNAVAILABLE_STATE = /^(08|53|57P)/
const UNAVAILABLE_ERRNO = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)/
/** SQLSTATE classes of a wrong password or database name, which make the store just as unavailable. */
const REFUSED_STATE = /^(28|3D)/
/** Messages of errors that `pg` throws without a code. */
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
  // A host with several addresses, all of which refuse, yields one AggregateError.
  if (error instanceof AggregateError) return error.errors.some((inner) => isUnavailable(coerceError(inner)))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  if (code === null) return UNAVAILABLE_MESSAGE.test(error.message)
  return UNAVAILABLE_STATE.test(code) || REFUSED_STATE.test(code) || UNAVAILABLE_ERRNO.test(code)
}
