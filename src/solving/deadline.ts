/** @file The moment a request's time is up, as a signal. */

export interface Deadline {
  /** Fires when the caller goes away or `maxMs` is over. */
  readonly signal: AbortSignal
  /** Stops the timer. */
  close(): void
}

/** Starts counting now, so waiting for the engine counts too. `maxMs` null: only the caller ends it. */
export function startDeadline(caller: AbortSignal, maxMs: number | null): Deadline {
  if (maxMs === null) return { signal: caller, close() {} }
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), maxMs)
  return { signal: AbortSignal.any([caller, controller.signal]), close: () => clearTimeout(timer) }
}
