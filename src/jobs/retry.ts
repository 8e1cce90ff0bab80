/** @file The errors after which a job is tried again. */

import { UnrecoverableError } from 'bullmq'
import { coerceError, type ErrorCode } from '#errors'

/** True for errors that may pass by themselves. Exhaustive: a new code does not compile until listed here. */
const RETRYABLE = {
  CONFIG_INVALID: false,
  DATA_DIR_LOCKED: false,
  DATA_DIR_UNWRITABLE: false,
  PORT_TAKEN: false,
  DATABASE_UNSUITABLE: false,
  SCHEMA_CHANGED: false,
  SCHEMA_TOO_NEW: false,
  MODEL_INVALID: false,
  MODEL_UNSUPPORTED: false,
  HUB_UNAVAILABLE: false,
  ONNX_INVALID: false,
  GRAPH_PRECONDITION: false,
  GRAPH_POSTCONDITION: false,
  NOT_DIFFERENTIABLE: false,
  SHAPE_MISMATCH: false,
  PROVIDER_UNAVAILABLE: false,
  SESSION_FAILED: true,
  ENGINE_CRASHED: true,
  ENGINE_CRASHED_BY_REQUEST: false,
  ENGINE_OVERLOADED: true,
  ENGINE_UNAVAILABLE: true,
  PROMPT_TOO_LONG: false,
  MEMORY_EXCEEDED: false,
  // A shutdown interrupted the job: the next worker finishes it.
  ABORTED: true,
  REQUEST_INVALID: false,
  REQUEST_TIMEOUT: false,
  HEADERS_TOO_LARGE: false,
  EXPECTATION_FAILED: false,
  HOST_NOT_ALLOWED: false,
  ORIGIN_NOT_ALLOWED: false,
  KEY_INVALID: false,
  SCOPE_MISSING: false,
  RATE_LIMITED: false,
  IDEMPOTENCY_KEY_REUSED: false,
  KEY_NOT_FOUND: false,
  MODEL_NOT_FOUND: false,
  EPISODE_NOT_FOUND: false,
  SOLUTION_NOT_FOUND: false,
  WEBHOOK_FAILED: true,
  DELETION_NOT_FOUND: false,
  ARTIFACT_NOT_FOUND: false,
  ARTIFACT_INVALID: false,
  ARTIFACT_NOT_PROMOTED: false,
  ARTIFACT_NOT_WAITING: false,
  CONSOLIDATION_NOT_FOUND: false,
  REPORT_NOT_FOUND: false,
  ROUTE_NOT_FOUND: false,
  METHOD_NOT_ALLOWED: false,
  MEDIA_TYPE_UNSUPPORTED: false,
  NOT_ACCEPTABLE: false,
  BODY_TOO_LARGE: false,
  STORE_UNAVAILABLE: true,
  QUEUE_UNAVAILABLE: true,
  SHUTTING_DOWN: true,
  INTERNAL: true,
} as const satisfies Record<ErrorCode, boolean>

/**
 * Returns the error that a processor throws for `thrown`: BullMQ tries the job again unless it is an
 * `UnrecoverableError`. Errors without a code of this service are tried again, because they do not show that
 * the job itself is wrong.
 */
export function toJobError(thrown: unknown): Error {
  const error = coerceError(thrown)
  if (isRetryable(error)) return error
  return Object.assign(new UnrecoverableError(error.message), { cause: error })
}

function isRetryable(error: Error): boolean {
  const code = 'code' in error ? error.code : undefined
  return typeof code === 'string' && code in RETRYABLE ? RETRYABLE[code as ErrorCode] : true
}
