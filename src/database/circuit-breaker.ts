/** @file The circuit breaker of a database server: refuses statements while probes find no server. */

import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Logger } from 'pino'
import { coerceError } from '#errors'

/** `read-only`: the server answers and refuses writes, as a standby does, or a server whose disk is full. */
export type DatabaseState = 'up' | 'read-only' | 'down'

/** Age at which an unanswered statement starts a probe. */
const SUSPECT_AFTER_MS = 400
/** Time that a probe has to connect and to be answered. */
export const PROBE_TIMEOUT_MS = 800
/** Pause between two probes while the state is not `up`. */
const PROBE_INTERVAL_MS = 1_000
/** Time without another refused write after which a server whose disk was full counts as `up`: no probe can ask. */
const DISK_FULL_MS = 10_000
/** Failures in a row, of connecting or of probes, that open the breaker. */
const MAX_FAILURES = 2

export interface CircuitBreakerOptions {
  /** Asks the server on a connection of its own. Rejects when it does not answer. */
  readonly probe: () => Promise<Exclude<DatabaseState, 'down'>>
  readonly logger: Pick<Logger, 'info' | 'warn'>
  readonly suspectAfterMs?: number
  readonly probeTimeoutMs?: number
  readonly probeIntervalMs?: number
  readonly diskFullMs?: number
}

/**
 * Circuit breaker. Two failures in a row open it: the state becomes `down`, the statements in flight are
 * abandoned, and new ones are refused. Then a probe each second decides when it closes. Only a probe closes
 * it, so no request waits to find out. An own implementation, because breakers of libraries use requests as
 * probes and leave statements in flight alone.
 */
export class CircuitBreaker {
  readonly #options: Required<CircuitBreakerOptions>
  readonly #inFlight = new Set<() => void>()
  readonly #closing = new AbortController()
  #state: DatabaseState = 'up'
  #reason: Error | null = null
  #generation = 0
  #failures = 0
  #diskFullAt = Number.NEGATIVE_INFINITY
  #isProbing = false
  #isHeld = false

  constructor(options: CircuitBreakerOptions) {
    this.#options = {
      suspectAfterMs: SUSPECT_AFTER_MS,
      probeTimeoutMs: PROBE_TIMEOUT_MS,
      probeIntervalMs: PROBE_INTERVAL_MS,
      diskFullMs: DISK_FULL_MS,
      ...options,
    }
  }

  get state(): DatabaseState {
    return this.#state
  }

  /** Error that led to the state; null while it is `up`. */
  get reason(): Error | null {
    return this.#reason
  }

  /** Number of state changes so far. Connections older than the last one may lead to a demoted server. */
  get generation(): number {
    return this.#generation
  }

  /**
   * Watches a statement in flight until the returned function is called: starts probes while it is
   * unanswered, and calls `abandon` when the breaker opens.
   */
  watch(abandon: () => void): () => void {
    const timer = setInterval(() => this.suspect(), this.#options.suspectAfterMs)
    timer.unref()
    this.#inFlight.add(abandon)
    return () => {
      clearInterval(timer)
      this.#inFlight.delete(abandon)
    }
  }

  /** Counts a connection that could not be opened, and starts a probe. */
  noteFailure(error: Error): void {
    this.#countFailure(error)
    this.suspect()
  }

  /** Notes that the server refused a write. */
  noteReadOnly(error: Error): void {
    if (this.#state === 'up') this.#become('read-only', error)
    this.suspect()
  }

  /** Notes that the server had no space for a write. */
  noteDiskFull(error: Error): void {
    this.#diskFullAt = performance.now()
    this.noteReadOnly(error)
  }

  /** Starts a probe, unless one is running. */
  suspect(): void {
    if (!this.#isProbing && !this.#isHeld) void this.#probeUntilUp()
  }

  /** Opens the breaker without probes until `release`: the caller finds out by itself when to close it. */
  hold(error: Error): void {
    this.#isHeld = true
    this.#become('down', error)
  }

  release(): void {
    this.#isHeld = false
    this.#failures = 0
    this.#become('up', null)
    this.suspect()
  }

  /** Stops probing. */
  close(): void {
    this.#closing.abort()
  }

  async #probeUntilUp(): Promise<void> {
    const { signal } = this.#closing
    this.#isProbing = true
    while (!signal.aborted && !this.#isHeld) {
      if (this.#state !== 'up') {
        const pause = { ref: false, signal }
        await setTimeout(this.#options.probeIntervalMs, undefined, pause).catch(() => {})
        if (signal.aborted) break
      }
      try {
        const found = await this.#probeInTime()
        this.#failures = 0
        const isFull = performance.now() - this.#diskFullAt < this.#options.diskFullMs
        if (!isFull) this.#become(found, found === 'up' ? null : new Error('transaction_read_only is on'))
        else if (this.#state === 'down') this.#become('read-only', new Error('the disk is full'))
      } catch (thrown) {
        this.#countFailure(coerceError(thrown))
      }
      if (this.#state === 'up' && this.#failures === 0) break
    }
    this.#isProbing = false
  }

  async #probeInTime(): Promise<Exclude<DatabaseState, 'down'>> {
    const answered = new AbortController()
    const late = async (): Promise<never> => {
      await setTimeout(this.#options.probeTimeoutMs, undefined, { ref: false, signal: answered.signal })
      // An answer that arrived while the event loop was blocked counts as in time.
      await setImmediate()
      throw new Error(`no answer within ${this.#options.probeTimeoutMs} ms`)
    }
    const timeout = late()
    timeout.catch(() => {})
    try {
      return await Promise.race([this.#options.probe(), timeout])
    } finally {
      answered.abort()
    }
  }

  #countFailure(error: Error): void {
    this.#failures += 1
    if (this.#failures >= MAX_FAILURES && !this.#closing.signal.aborted) this.#become('down', error)
  }

  #become(state: DatabaseState, reason: Error | null): void {
    if (this.#state === state || (this.#isHeld && state !== 'down')) return
    this.#state = state
    this.#reason = reason
    this.#generation += 1
    const { logger } = this.#options
    if (state === 'down') {
      logger.warn({ err: reason }, 'database unavailable: statements are refused until it answers')
      for (const abandon of [...this.#inFlight]) abandon()
    } else if (state === 'read-only') {
      logger.warn({ err: reason }, 'database refuses writes: nothing is stored until it accepts them')
    } else {
      logger.info('database available again')
    }
  }
}
