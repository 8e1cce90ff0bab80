/** @file Limits repeated log lines: the first is logged, then at most one a minute, with a count. */

const INTERVAL_MS = 60_000
/** Bound on remembered kinds: the oldest is forgotten first, and its next line is logged at once. */
const MAX_KINDS = 200

/** Field of a line that is logged: number of lines of its kind left out since the last one; none in the first. */
export interface Repeated {
  readonly repeated?: number
}

/**
 * Decides whether a line is logged: the first of its kind, then at most one a minute. Returns null for a line
 * that is left out, and counts it.
 */
export type Throttle = (kind: string) => Repeated | null

export function createThrottle(clock: () => number = () => performance.now()): Throttle {
  const kinds = new Map<string, { readonly loggedAt: number; repeated: number }>()
  return (kind) => {
    const now = clock()
    const last = kinds.get(kind)
    if (last !== undefined && now - last.loggedAt < INTERVAL_MS) {
      last.repeated++
      return null
    }
    kinds.delete(kind)
    kinds.set(kind, { loggedAt: now, repeated: 0 })
    for (const oldest of kinds.keys()) {
      if (kinds.size <= MAX_KINDS) break
      kinds.delete(oldest)
    }
    return last === undefined ? {} : { repeated: last.repeated }
  }
}

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
  logger: { warn(details: object, message: string): void },
  { clock }: { readonly clock?: () => number } = {},
): ThrottledLog {
  const throttle = createThrottle(clock)
  return {
    warn(kind, details, message) {
      const passed = throttle(kind)
      if (passed === null) return false
      logger.warn({ ...details, ...passed }, message)
      return true
    },
  }
}

/** Returns the code or the name of an error: the part of it that does not vary with ids and times. */
export function kindOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
