/** @file Limits repeated warnings: the first is logged, then at most one a minute, with a count. */

import type { Logger } from 'pino'

const INTERVAL_MS = 60_000
/** Bound on remembered kinds: the oldest is forgotten first, and its next warning is logged at once. */
const MAX_KINDS = 200

export interface ThrottledLog {
  /**
   * Logs a warning, unless one of the same kind was logged within the last minute. The field `repeated` is
   * the number of warnings of the kind that were left out since.
   *
   * @returns whether it was logged
   */
  warn(kind: string, details: object, message: string): boolean
}

export function throttleLog(
  logger: Pick<Logger, 'warn'>,
  { clock = () => performance.now() }: { readonly clock?: () => number } = {},
): ThrottledLog {
  const kinds = new Map<string, { readonly loggedAt: number; repeated: number }>()
  return {
    warn(kind, details, message) {
      const now = clock()
      const last = kinds.get(kind)
      if (last !== undefined && now - last.loggedAt < INTERVAL_MS) {
        last.repeated++
        return false
      }
      logger.warn(last === undefined ? details : { ...details, repeated: last.repeated }, message)
      kinds.delete(kind)
      kinds.set(kind, { loggedAt: now, repeated: 0 })
      for (const oldest of kinds.keys()) {
        if (kinds.size <= MAX_KINDS) break
        kinds.delete(oldest)
      }
      return true
    },
  }
}

/** Returns the code or the name of an error: the part of it that does not vary with ids and times. */
export function kindOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
