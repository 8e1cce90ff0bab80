/**
 * @file Limits the amount of waiting work. The counts live in the API process, which can answer while the
 * engine processes are inside a run.
 */

import { ServiceError } from '#errors'
import type { Priority } from '#ports'

export interface Admission {
  /**
   * Admits a session. It counts as one waiting row until its first call, so that a burst of requests is
   * counted before their rows arrive. Background work never keeps interactive sessions out.
   *
   * The callers with open interactive sessions share the limit equally, and each may have one session: a
   * caller is refused for its own rows, never for those of others.
   *
   * @throws ServiceError ENGINE_OVERLOADED with a retry time: first that in which the sessions admitted so far should be
   * done, then for each refusal of the caller that of one session more. So refused requests come again in turns, not
   * all in the same second.
   */
  admit(priority: Priority, caller: string): AdmittedSession
  /** Throws as `admit` would for an interactive session. */
  check(caller: string): void
  /** Returns the number of admitted sessions that have made no call yet or have unanswered rows. */
  openSessions(): number
}

interface AdmittedSession {
  /**
   * Counts `rows` until the returned function is called, once. Rows of an admitted session are never refused.
   */
  submit(rows: number): () => void
  /** Ends the session. Idempotent. */
  close(): void
}

/** Time constant of the measured service rate: 1/e of its weight is older. */
const WINDOW_MS = 30_000
const MAX_RETRY_SECONDS = 60

interface Counts {
  /** Sessions that have made no call yet. */
  newSessions: number
  openRows: number
}

interface CallerCounts extends Counts {
  sessions: number
  readonly retries: RetryTimes
}

/** Retry times of refused sessions. */
interface RetryTimes {
  /** Returns the seconds after which the next refused session should come again. */
  next(): number
}

interface AdmissionDeps {
  readonly maxWaitingRows: number
  /** Rows that the engine processes are running. */
  readonly runningRows: () => number
  readonly now?: () => number
}

export function createAdmission({ maxWaitingRows, runningRows, now }: AdmissionDeps): Admission {
  const background: Counts = { newSessions: 0, openRows: 0 }
  /** Callers with open interactive sessions. */
  const callers = new Map<string, CallerCounts>()
  const rate = createServiceRate(now ?? (() => performance.now()))
  /** Retry times of background work, and of callers beyond those that there may be at once. */
  const otherRetries = rate.createRetryTimes()
  let callingSessions = 0

  function sum(what: keyof Counts): number {
    return [background, ...callers.values()].reduce((total, counts) => total + counts[what], 0)
  }

  function refuse(expected: string, found: number, retries = otherRetries): never {
    throw new ServiceError('ENGINE_OVERLOADED', `engine: expected ${expected}, got ${found}`, {
      retryAfterSeconds: retries.next(),
    })
  }

  /** Refuses a session when too many rows wait already. */
  function check(priority: Priority, caller: string): void {
    if (priority === 'background') {
      const waiting = sum('newSessions') + Math.max(0, sum('openRows') - runningRows())
      if (waiting >= maxWaitingRows) refuse(`fewer than ${maxWaitingRows} rows waiting`, waiting)
      return
    }
    const own = callers.get(caller)
    const active = callers.size + (own ? 0 : 1)
    if (active > maxWaitingRows) refuse(`at most ${maxWaitingRows} callers at once`, active)
    if (!own) return
    const share = Math.max(1, Math.floor(maxWaitingRows / active))
    // The running rows are divided like the places of a run: equally.
    const waiting = own.newSessions + Math.max(0, own.openRows - Math.floor(runningRows() / active))
    const limit = active === 1 ? `${share}` : `${share} (the share of one of ${active} callers)`
    if (waiting >= share) refuse(`fewer than ${limit} rows waiting`, waiting, own.retries)
  }

  /** Returns the counts of a new session, which `leave` must give back. */
  function enter(priority: Priority, caller: string): { readonly own: Counts; leave(): void } {
    if (priority === 'background') return { own: background, leave() {} }
    const own = callers.get(caller) ?? {
      newSessions: 0,
      openRows: 0,
      sessions: 0,
      retries: rate.createRetryTimes(),
    }
    callers.set(caller, own)
    own.sessions += 1
    return {
      own,
      leave() {
        own.sessions -= 1
        if (own.sessions === 0) callers.delete(caller)
      },
    }
  }

  return {
    check: (caller) => check('interactive', caller),
    openSessions: () => sum('newSessions') + callingSessions,
    admit(priority, caller) {
      check(priority, caller)
      rate.opened()
      const { own, leave } = enter(priority, caller)
      own.newSessions += 1
      let state: 'new' | 'started' | 'closed' = 'new'
      let calls = 0

      return {
        submit(rows) {
          if (state === 'new') {
            state = 'started'
            own.newSessions -= 1
          }
          own.openRows += rows
          calls += 1
          if (calls === 1) callingSessions += 1
          return () => {
            own.openRows -= rows
            calls -= 1
            if (calls === 0) callingSessions -= 1
          }
        },
        close() {
          if (state === 'closed') return
          rate.closed({ isServed: state === 'started' })
          if (state === 'new') own.newSessions -= 1
          leave()
          state = 'closed'
        },
      }
    },
  }
}

/** Creates a measurement of the rate at which sessions are served. */
function createServiceRate(now: () => number) {
  let sessions = 0
  /**
   * Number of sessions served, and the time with at least one open session. Both decay with the same window;
   * their ratio is the service rate.
   */
  let served = 0
  let busyMs = 0
  let countedAt = now()

  /**
   * Updates the rate to the current time; called before `sessions` changes. Time without a session does not
   * count.
   */
  function countTime(): void {
    const kept = sessions === 0 ? 1 : Math.exp((countedAt - now()) / WINDOW_MS)
    served *= kept
    busyMs = busyMs * kept + WINDOW_MS * (1 - kept)
    countedAt = now()
  }

  return {
    opened(): void {
      countTime()
      sessions += 1
    },
    closed({ isServed }: { readonly isServed: boolean }): void {
      countTime()
      sessions -= 1
      if (isServed) served += 1
    },
    createRetryTimes(): RetryTimes {
      /** Time of the last retry that was asked for. */
      let lastAt = Number.NEGATIVE_INFINITY
      return {
        next() {
          countTime()
          // Until a first session is served, one counts as served.
          const sessionMs = busyMs / Math.max(1, served)
          const soonest = now() + Math.max(1000, sessions * sessionMs)
          lastAt = Math.min(now() + MAX_RETRY_SECONDS * 1000, Math.max(soonest, lastAt + sessionMs))
          // In whole ms first: sums of times are not exact.
          return Math.ceil(Math.round(lastAt - now()) / 1000)
        },
      }
    },
  }
}
