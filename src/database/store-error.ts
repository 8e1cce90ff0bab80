/** @file Converts errors of the driver: unavailable at run time, or unsuitable at start. */

import { coerceError, ServiceError } from '#errors'

/**
 * SQLSTATEs of the server's state, not of a wrong statement: 08 connection, 53 resources, 57P shutdown,
 * 58 files of the server, 25006 a server that refuses writes, 57014 a statement that took too long.
 */
const UNAVAILABLE_STATE = /^(08|53|57P|58|25006|57014)/
const UNAVAILABLE_ERRNO = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)/
/** SQLSTATE classes of a wrong password or database name, which make the store just as unavailable. */
const REFUSED_STATE = /^(28|3D)/
/** Codes of Node for a certificate that it does not trust. */
const UNTRUSTED_CERTIFICATE =
  /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_)/
/** Messages of errors that `pg` throws without a code. */
const UNAVAILABLE_MESSAGE = /connection terminated|timeout|not queryable|after calling end|support SSL/i

/** Returns STORE_UNAVAILABLE when the error shows that the database cannot be used; else the error itself. */
export function storeError(operation: string, thrown: unknown): Error {
  const error = coerceError(thrown)
  return error instanceof ServiceError || !isUnavailable(error) ? error : unavailable(operation, error)
}

export function unavailable(operation: string, cause: Error): ServiceError {
  const expected =
    isReadOnly(cause) || isDiskFull(cause) ? 'a database that accepts writes' : 'the database to answer'
  return new ServiceError(
    'STORE_UNAVAILABLE',
    `${operation}: expected ${expected}, got ${messageOf(cause) || 'no connection'}`,
    { cause },
  )
}

/** True for the error of a standby, or of a server whose transactions are read-only. */
export function isReadOnly(thrown: unknown): boolean {
  return codeOf(thrown) === '25006'
}

/** True for the error of a server that had no space for a write. */
export function isDiskFull(thrown: unknown): boolean {
  return codeOf(thrown) === '53100'
}

/** True for the error of a pool or a server that is alive and has no connection left, or answers too late. */
export function isBusy(thrown: unknown): boolean {
  const code = codeOf(thrown)
  return code === '53300' || (code === null && /timeout/i.test(coerceError(thrown).message))
}

function isUnavailable(error: Error): boolean {
  // A host with several addresses, all of which refuse, yields one AggregateError.
  if (error instanceof AggregateError) return error.errors.some((inner) => isUnavailable(coerceError(inner)))
  const code = codeOf(error)
  if (code === null) return UNAVAILABLE_MESSAGE.test(error.message)
  return [UNAVAILABLE_STATE, REFUSED_STATE, UNAVAILABLE_ERRNO, UNTRUSTED_CERTIFICATE].some((codes) =>
    codes.test(code),
  )
}

/**
 * Converts the error of a start. What waiting cannot mend becomes DATABASE_UNSUITABLE, with what to do;
 * STORE_UNAVAILABLE remains for a server that may still come.
 */
export function startError(operation: string, thrown: unknown): Error {
  const error = coerceError(thrown)
  const cause = error instanceof ServiceError && error.cause !== undefined ? coerceError(error.cause) : error
  const advice = adviceFor(cause)
  if (advice === null) return storeError(operation, error)
  return new ServiceError('DATABASE_UNSUITABLE', `${operation}: ${advice}, got ${messageOf(cause)}`, {
    cause,
  })
}

function adviceFor(error: Error): string | null {
  const code = codeOf(error) ?? ''
  if (REFUSED_STATE.test(code)) return 'expected a user, a password and a database that exist in DATABASE_URL'
  if (code === '42501') {
    return /extension/.test(error.message)
      ? 'expected the right to create the extension (or an administrator who runs `create extension vector`)'
      : 'expected the rights that docs/operations.md lists ("Rights in the database")'
  }
  if (code === '42704' && /vector/.test(error.message))
    return 'expected USAGE on the schema of the extension pgvector'
  if (UNTRUSTED_CERTIFICATE.test(code)) {
    return 'expected a certificate of a trusted authority: add sslmode=verify-full&sslrootcert=FILE to DATABASE_URL, or sslmode=no-verify to accept any'
  }
  if (/support SSL/.test(error.message))
    return 'expected a server with TLS, or sslmode=disable in DATABASE_URL'
  if (code === 'ENOENT' && 'syscall' in error && error.syscall === 'open')
    return 'expected the certificate file that DATABASE_URL names'
  return null
}

function messageOf(error: Error): string {
  if (error instanceof AggregateError && error.message === '')
    return error.errors.map((inner) => coerceError(inner).message).join('; ')
  return error.message
}

function codeOf(thrown: unknown): string | null {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : null
}
