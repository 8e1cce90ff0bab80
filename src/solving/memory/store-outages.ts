/** @file Deadlines and warnings for a store that does not answer: what memory and commit have in common. */

import { coerceError } from '#errors'
import { createThrottle } from '#throttle-log'
import type { SolverLogger } from '../contract.ts'
import type { Clock } from '../meter.ts'

/** The warnings of one solver, over all its requests: the first, then at most one a minute with a count. */
export interface StoreOutages {
  /** Logs a failure of the store, or counts it for the next line with the same message. */
  warn(logger: SolverLogger, thrown: unknown, message: string): void
}

export function createStoreOutages(clock: Clock): StoreOutages {
  const throttle = createThrottle(() => clock.now())
  return {
    warn(logger, thrown, message) {
      const passed = throttle(message)
      if (passed !== null) logger.warn({ err: coerceError(thrown), ...passed }, message)
    },
  }
}

/** Returns a signal that fires after `ms`; undefined when that is infinite. */
export function timeoutSignal(ms: number): AbortSignal | undefined {
  return Number.isFinite(ms) ? AbortSignal.timeout(Math.ceil(ms)) : undefined
}
