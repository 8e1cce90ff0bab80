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
   * @throws ServiceError ENGINE_OVERLOADED with the time in which the sessions admitted so far should be done
   */
  admit(priority: Priority): AdmittedSession
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

export function createAdmission(deps: {
  readonly maxWaitingRows: number
  /** Rows that the engine processes are running. */
  readonly runningRows: () => number
  readonly now?: () => number
}): Admission {
  const { maxWaitingRows, runningRows, now = () => performance.now() } = deps
  const counts: Record<Priority, Counts> = {
    interactive: { newSessions: 0, openRows: 0 },
    background: { newSessions: 0, openRows: 0 },
  }
  let sessions = 0
  let callingSessions = 0
  /**
   * Number of sessions served, and the time with at least one open session. Both decay with the same window;
   * their ratio is the service rate.
   */
  let served = 0
  let busyMs = 0
  let countedAt = now()

  const all = (): Counts => ({
    newSessions: counts.interactive.newSessions + counts.background.newSessions,
    openRows: counts.interactive.openRows + counts.background.openRows,
  })

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

  /**
   * Estimates the time for all open sessions at the measured rate; until a first session is served, counts
   * one as served.
   */
  function retryAfterSeconds(): number {
    countTime()
    const seconds = (sessions * busyMs) / Math.max(1, served) / 1000
    return Math.min(MAX_RETRY_SECONDS, Math.max(1, Math.ceil(seconds)))
  }

  return {
    openSessions: () => all().newSessions + callingSessions,
    admit(priority) {
      const ahead = priority === 'interactive' ? counts.interactive : all()
      const waiting = ahead.newSessions + Math.max(0, ahead.openRows - runningRows())
      if (waiting >= maxWaitingRows) {
        throw new ServiceError(
          'ENGINE_OVERLOADED',
          `engine: expected fewer than ${maxWaitingRows} rows waiting, got ${waiting}`,
          { retryAfterSeconds: retryAfterSeconds() },
        )
      }
      countTime()
      sessions += 1
      const own = counts[priority]
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
          countTime()
          sessions -= 1
          if (state === 'new') own.newSessions -= 1
          else served += 1
          state = 'closed'
        },
      }
    },
  }
}
