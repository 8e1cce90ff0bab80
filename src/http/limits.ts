/** @file Limits on the size and the duration of requests and connections. */

export interface Limits {
  /**
   * Size limit of a request body, in bytes. The longest question fits, even if escaped (12 bytes a
   * character).
   */
  readonly bodyBytes: number
  /** Size limit of the request line and the headers together, in bytes. */
  readonly headerBytes: number
  /** Time, in ms, in which all headers must arrive. */
  readonly headersTimeoutMs: number
  /** Time, in ms, in which the whole request must arrive. The response has no such limit. */
  readonly requestTimeoutMs: number
  /**
   * Time, in ms, that an idle connection stays open for the next request. Longer than the 60 s of common load
   * balancers, which must be the side that closes: a request on a connection that the server closes is lost.
   */
  readonly keepAliveTimeoutMs: number
  /** Number of open connections from which on new ones are closed at once. */
  readonly maxConnections: number
  /** Time, in ms, between the comments of an event stream. */
  readonly heartbeatMs: number
  /** Time, in ms, that the client of an event stream may leave one event unread, and any client its response. */
  readonly stallMs: number
  /** Bytes of events that may wait for a client; most streams have fewer in all. */
  readonly queuedBytes: number
}

export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 256 * 1024,
  headerBytes: 16 * 1024,
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 72_000,
  maxConnections: 4096,
  heartbeatMs: 10_000,
  stallMs: 30_000,
  queuedBytes: 2 ** 20,
}
