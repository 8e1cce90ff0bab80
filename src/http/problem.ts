/** @file Converts errors into problems (RFC 9457): status, title and `Retry-After` of every code. */

import type { Static } from 'typebox'
import { coerceError, type ErrorCode, type Fault, ServiceError } from '#errors'
import type { Problem as ProblemSchema } from './schemas/problem.ts'

export type Problem = Static<typeof ProblemSchema>

/** HTTP status of every code. A new code does not compile until it has a status here. */
export const STATUS = {
  CONFIG_INVALID: 500,
  DATA_DIR_LOCKED: 500,
  DATA_DIR_UNWRITABLE: 500,
  PORT_TAKEN: 500,
  DATABASE_UNSUITABLE: 500,
  SCHEMA_CHANGED: 500,
  SCHEMA_TOO_NEW: 500,
  MODEL_INVALID: 500,
  MODEL_UNSUPPORTED: 500,
  HUB_UNAVAILABLE: 500,
  ONNX_INVALID: 500,
  GRAPH_PRECONDITION: 500,
  GRAPH_POSTCONDITION: 500,
  NOT_DIFFERENTIABLE: 500,
  SHAPE_MISMATCH: 500,
  PROVIDER_UNAVAILABLE: 500,
  SESSION_FAILED: 500,
  ENGINE_CRASHED: 503,
  // Not 503: a client that repeats the request would stop the process again.
  ENGINE_CRASHED_BY_REQUEST: 422,
  ENGINE_OVERLOADED: 503,
  ENGINE_UNAVAILABLE: 503,
  PROMPT_TOO_LONG: 422,
  // Not 503: the same request can never fit.
  MEMORY_EXCEEDED: 422,
  // nginx's "client closed request": the caller never reads it, logs and metrics do.
  ABORTED: 499,
  REQUEST_INVALID: 400,
  REQUEST_TIMEOUT: 408,
  HEADERS_TOO_LARGE: 431,
  EXPECTATION_FAILED: 417,
  HOST_NOT_ALLOWED: 421,
  ORIGIN_NOT_ALLOWED: 403,
  KEY_INVALID: 401,
  SCOPE_MISSING: 403,
  RATE_LIMITED: 429,
  IDEMPOTENCY_KEY_REUSED: 422,
  // The command `circadian keys` alone meets it.
  KEY_NOT_FOUND: 500,
  MODEL_NOT_FOUND: 404,
  EPISODE_NOT_FOUND: 404,
  SOLUTION_NOT_FOUND: 404,
  // The delivery of a webhook alone meets it.
  WEBHOOK_FAILED: 500,
  DELETION_NOT_FOUND: 404,
  ARTIFACT_NOT_FOUND: 404,
  ARTIFACT_INVALID: 409,
  ARTIFACT_NOT_PROMOTED: 409,
  ARTIFACT_NOT_WAITING: 409,
  CONSOLIDATION_NOT_FOUND: 404,
  REPORT_NOT_FOUND: 404,
  ROUTE_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  MEDIA_TYPE_UNSUPPORTED: 415,
  NOT_ACCEPTABLE: 406,
  BODY_TOO_LARGE: 413,
  STORE_UNAVAILABLE: 503,
  QUEUE_UNAVAILABLE: 503,
  SHUTTING_DOWN: 503,
  INTERNAL: 500,
} as const satisfies Record<ErrorCode, number>

/** Codes that a client can receive. All others are start-up faults or bugs and are answered as INTERNAL. */
export type PublicCode =
  | { [Code in ErrorCode]: (typeof STATUS)[Code] extends 500 ? never : Code }[ErrorCode]
  | 'INTERNAL'

export const TITLES: Record<PublicCode, string> = {
  ENGINE_CRASHED: 'The model process stopped while it worked on this request.',
  ENGINE_CRASHED_BY_REQUEST: 'The model process stopped each time it ran this request.',
  ENGINE_OVERLOADED: 'Too many requests are waiting.',
  ENGINE_UNAVAILABLE: 'The model is not ready.',
  PROMPT_TOO_LONG: 'The question does not fit the context of the model.',
  MEMORY_EXCEEDED: 'There is not enough memory for a question and an answer of this length.',
  ABORTED: 'The request was cancelled.',
  REQUEST_INVALID: 'The request is not valid.',
  REQUEST_TIMEOUT: 'The request did not arrive in time.',
  HEADERS_TOO_LARGE: 'The headers of the request are too large.',
  EXPECTATION_FAILED: 'The expectation of the request is not supported.',
  HOST_NOT_ALLOWED: 'The request is for another host.',
  ORIGIN_NOT_ALLOWED: 'A page of another site made the request.',
  KEY_INVALID: 'The API key is missing or not valid.',
  SCOPE_MISSING: 'The API key does not allow this.',
  RATE_LIMITED: 'The limit of the API key is reached.',
  IDEMPOTENCY_KEY_REUSED: 'The idempotency key belongs to another request.',
  MODEL_NOT_FOUND: 'There is no such model.',
  EPISODE_NOT_FOUND: 'There is no such episode.',
  SOLUTION_NOT_FOUND: 'There is no such solution.',
  DELETION_NOT_FOUND: 'There is no such deletion.',
  ARTIFACT_NOT_FOUND: 'There is no such artifact.',
  ARTIFACT_INVALID: 'The artifact is damaged or deleted, or of another model.',
  ARTIFACT_NOT_PROMOTED: 'The gate has not promoted the artifact.',
  ARTIFACT_NOT_WAITING: 'The artifact does not wait for a review.',
  CONSOLIDATION_NOT_FOUND: 'There is no such consolidation.',
  REPORT_NOT_FOUND: 'There is no report yet.',
  ROUTE_NOT_FOUND: 'There is nothing at this path.',
  METHOD_NOT_ALLOWED: 'This path has other methods.',
  MEDIA_TYPE_UNSUPPORTED: 'The body must be application/json.',
  NOT_ACCEPTABLE: 'None of the accepted media types can be served.',
  BODY_TOO_LARGE: 'The body is too large.',
  STORE_UNAVAILABLE: 'The database cannot be reached.',
  QUEUE_UNAVAILABLE: 'The job queue cannot be reached.',
  SHUTTING_DOWN: 'The server is shutting down.',
  INTERNAL: 'Something went wrong on our side.',
}

/** Default `Retry-After`, in seconds, of errors without their own. Every code with status 503 has one. */
const RETRY_AFTER_SECONDS: Partial<Record<ErrorCode, number>> = {
  ENGINE_CRASHED: 1,
  ENGINE_OVERLOADED: 1,
  ENGINE_UNAVAILABLE: 5,
  STORE_UNAVAILABLE: 5,
  QUEUE_UNAVAILABLE: 5,
  SHUTTING_DOWN: 5,
}

/** Default JSON pointer of errors without faults, for codes that concern one field. */
const POINTERS: Partial<Record<ErrorCode, string>> = {
  PROMPT_TOO_LONG: '/question',
}

/** Codes for errors of fastify and its plugins, which have a status but no code of the service. */
const CODE_OF_STATUS: Readonly<Record<number, PublicCode>> = {
  404: 'ROUTE_NOT_FOUND',
  406: 'NOT_ACCEPTABLE',
  408: 'REQUEST_TIMEOUT',
  413: 'BODY_TOO_LARGE',
  415: 'MEDIA_TYPE_UNSUPPORTED',
  431: 'HEADERS_TOO_LARGE',
}

/** Returns the code of an error; INTERNAL if it has neither a known code nor a 4xx status. */
export function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof Error)) return 'INTERNAL'
  if ('code' in error && typeof error.code === 'string' && Object.hasOwn(STATUS, error.code))
    return error.code as ErrorCode
  const status = 'statusCode' in error ? Number(error.statusCode) : 500
  return status >= 400 && status < 500 ? (CODE_OF_STATUS[status] ?? 'REQUEST_INVALID') : 'INTERNAL'
}

/**
 * Returns the body of an error response. For a 5xx it contains the title of the code and nothing from the
 * error, so that no internals leak.
 *
 * @param instance id of the request.
 */
export function toProblem(thrown: unknown, instance: string): Problem {
  const error = coerceError(thrown)
  const code = codeOf(error)
  const status = STATUS[code]
  const shown = Object.hasOwn(TITLES, code) ? (code as PublicCode) : 'INTERNAL'
  const problem: Problem = {
    type: `urn:circadian:problem:${shown.toLowerCase().replaceAll('_', '-')}`,
    title: TITLES[shown],
    status,
    code: shown,
    instance,
  }
  if (status >= 500) return problem
  const errors = faultsOf(error, code)
  return { ...problem, detail: error.message, ...(errors.length > 0 && { errors }) }
}

/** Returns the `Retry-After` in seconds, or undefined if a retry would not help. */
export function retryAfterSeconds(error: unknown): number | undefined {
  const own = error instanceof ServiceError ? error.retryAfterSeconds : undefined
  return own === undefined ? RETRY_AFTER_SECONDS[codeOf(error)] : Math.ceil(own)
}

function faultsOf(error: Error, code: ErrorCode): Fault[] {
  if (error instanceof ServiceError && error.faults !== undefined) return [...error.faults]
  const pointer = POINTERS[code]
  return pointer === undefined ? [] : [{ pointer, detail: error.message }]
}
