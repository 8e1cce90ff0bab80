/** @file What one connection and one request may take. */

export interface Limits {
  /** Bytes of a request body. The longest question, escaped (12 bytes for each character), fits. */
  readonly bodyBytes: number
  /** Bytes of the request line and the headers. */
  readonly headerBytes: number
  /** Milliseconds in which all headers must have arrived. */
  readonly headersTimeoutMs: number
  /** Milliseconds in which the whole request must have arrived; the answer may take as long as it takes. */
  readonly requestTimeoutMs: number
  /** Milliseconds that an idle connection is kept for the next request. */
  readonly keepAliveTimeoutMs: number
  /** Milliseconds between the comments of an event stream. */
  readonly heartbeatMs: number
  /** Milliseconds that the client of an event stream may leave one event unread. */
  readonly stallMs: number
}

export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 256 * 1024,
  headerBytes: 16 * 1024,
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 10_000,
  heartbeatMs: 10_000,
  stallMs: 30_000,
}
