/** @file Deadlines and warnings for a store that does not answer: what memory and commit have in common. */

import { coerceError } from '#errors'
import type { SolverLogger } from '../contract.ts'
import type { Clock } from '../meter.ts'

const WARNING_INTERVAL_MS = 60_000

/** The warnings of one solver, over all its requests: the first, then at most one a minute with a count. */
export interface StoreOutages {
  /** Logs a failure of the store, or counts it for the next line with the same message. */
  warn(logger: SolverLogger, thrown: unknown, message: string): void
}

export function createStoreOutages(clock: Clock): StoreOutages {
  const lines = new Map<string, { loggedAt: number; repeated: number }>()
  return {
    warn(logger, thrown, message) {
      const last = lines.get(message)
      if (last !== undefined && clock.now() - last.loggedAt < WARNING_INTERVAL_MS) {
        last.repeated += 1
        return
      }
      lines.set(message, { loggedAt: clock.now(), repeated: 0 })
      logger.warn({ err: coerceError(thrown), ...(last && { repeated: last.repeated }) }, message)
    },
  }
}

/** Returns a signal that fires after `ms`; undefined when that is infinite. */
export function timeoutSignal(ms: number): AbortSignal | undefined {
  return Number.isFinite(ms) ? AbortSignal.timeout(Math.ceil(ms)) : undefined
}
