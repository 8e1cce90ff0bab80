/** @file How much work may wait. Counted in the API process, which answers while the engine process is inside a run. */

import { ServiceError } from '#errors'

export interface Admission {
  /**
   * Admits a session. Until it asks for something it counts as one waiting row, so that a burst of requests is seen
   * before their rows arrive. Call the returned function once, when it asks or goes.
   *
   * @throws ServiceError ENGINE_OVERLOADED with the time after which the queue should have moved on
   */
  admit(): () => void
  /** Counts `rows` of a session until the returned function is called. Rows of an admitted session are never refused. */
  submit(session: number, rows: number): () => void
  /** Rows submitted and not answered. */
  openRows(): number
  /** Sessions admitted that have asked for nothing yet, and those with rows not answered. */
  openSessions(): number
}

/** Weight of the newest answer in the running mean of service times. */
const NEWEST = 0.1
const LONGEST_RETRY_SECONDS = 60

export function createAdmission(deps: {
  readonly maxWaitingRows: number
  /** Rows that the engine process is running. */
  readonly runningRows: () => number
}): Admission {
  let newSessions = 0
  let openRows = 0
  /** Calls not answered, by session. */
  const openCalls = new Map<number, number>()
  let meanSeconds = 0

  return {
    openRows: () => openRows,
    openSessions: () => newSessions + openCalls.size,
    admit() {
      const waiting = newSessions + Math.max(0, openRows - deps.runningRows())
      if (waiting >= deps.maxWaitingRows) {
        throw new ServiceError(
          'ENGINE_OVERLOADED',
          `engine: expected fewer than ${deps.maxWaitingRows} rows waiting, got ${waiting}`,
          { retryAfterSeconds: Math.min(LONGEST_RETRY_SECONDS, Math.max(1, Math.ceil(meanSeconds))) },
        )
      }
      newSessions += 1
      return once(() => {
        newSessions -= 1
      })
    },
    submit(session, rows) {
      const submittedAt = performance.now()
      openRows += rows
      openCalls.set(session, (openCalls.get(session) ?? 0) + 1)
      return once(() => {
        openRows -= rows
        const calls = openCalls.get(session)! - 1
        if (calls > 0) openCalls.set(session, calls)
        else openCalls.delete(session)
        meanSeconds += NEWEST * ((performance.now() - submittedAt) / 1000 - meanSeconds)
      })
    },
  }
}

function once(task: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    task()
  }
}
