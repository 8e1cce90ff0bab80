/**
 * @file Defines the closed set of error codes and the error class. Statuses and retry policies are defined
 * by `http` and `jobs`.
 */

export const ERROR_CODES = [
  // start-up
  'CONFIG_INVALID',
  'DATA_DIR_LOCKED',
  'DATA_DIR_UNWRITABLE',
  'PORT_TAKEN',
  'DATABASE_UNSUITABLE',
  'SCHEMA_CHANGED',
  'SCHEMA_TOO_NEW',
  // models and graphs
  'MODEL_INVALID',
  'MODEL_UNSUPPORTED',
  'HUB_UNAVAILABLE',
  'ONNX_INVALID',
  'GRAPH_PRECONDITION',
  'GRAPH_POSTCONDITION',
  'NOT_DIFFERENTIABLE',
  'SHAPE_MISMATCH',
  'PROVIDER_UNAVAILABLE',
  'SESSION_FAILED',
  // engine
  'ENGINE_CRASHED',
  'ENGINE_CRASHED_BY_REQUEST',
  'ENGINE_OVERLOADED',
  'ENGINE_UNAVAILABLE',
  'PROMPT_TOO_LONG',
  'MEMORY_EXCEEDED',
  'ABORTED',
  // service
  'REQUEST_INVALID',
  'REQUEST_TIMEOUT',
  'HEADERS_TOO_LARGE',
  'EXPECTATION_FAILED',
  'HOST_NOT_ALLOWED',
  'ORIGIN_NOT_ALLOWED',
  'KEY_INVALID',
  'SCOPE_MISSING',
  'RATE_LIMITED',
  'IDEMPOTENCY_KEY_REUSED',
  'KEY_NOT_FOUND',
  'MODEL_NOT_FOUND',
  'EPISODE_NOT_FOUND',
  'SOLUTION_NOT_FOUND',
  'WEBHOOK_FAILED',
  'DELETION_NOT_FOUND',
  'ARTIFACT_NOT_FOUND',
  'ARTIFACT_INVALID',
  'ARTIFACT_NOT_PROMOTED',
  'ARTIFACT_NOT_WAITING',
  'CONSOLIDATION_NOT_FOUND',
  'REPORT_NOT_FOUND',
  'ROUTE_NOT_FOUND',
  'METHOD_NOT_ALLOWED',
  'MEDIA_TYPE_UNSUPPORTED',
  'NOT_ACCEPTABLE',
  'BODY_TOO_LARGE',
  'STORE_UNAVAILABLE',
  'QUEUE_UNAVAILABLE',
  'SHUTTING_DOWN',
  'INTERNAL',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

/** One fault of a request, with a JSON pointer into the request. */
export interface Fault {
  readonly pointer: string
  readonly detail: string
}

export interface ServiceErrorOptions {
  readonly cause?: unknown
  /** Faults of a request, one per field. */
  readonly faults?: readonly Fault[]
  /** Seconds after which the same call may succeed. */
  readonly retryAfterSeconds?: number
}

/**
 * Error with a code; the only error that rooms throw on purpose. Callers check `code`, never the class: an
 * error that crossed a process boundary keeps only its code. Messages read "operation: expected X, got Y".
 */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly code: ErrorCode
  readonly faults: readonly Fault[] | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.faults = options.faults
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** True if `error` has this code, also after it crossed a process boundary. */
export function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/** Converts any thrown value into an `Error` that keeps the value as its cause. */
export function coerceError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown })
}
