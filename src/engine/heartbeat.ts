/**
 * @file Detects a process that lives but no longer answers: sends it a ping at an interval, and measures how
 * long it has been silent.
 *
 * A process answers between its runs, because a run blocks it. It announces a long run beforehand.
 */

export interface Heartbeat {
  /** Notes a message of the process: it is alive, and an announced run is over. */
  heard(): void
  /** Notes an announced run of about `expectedMs`, which extends the limit until the next message. */
  expectRun(expectedMs: number): void
  /** Returns the milliseconds since the last message. */
  ageMs(): number
  stop(): void
}

/** A run may take this many times as long as announced. */
const RUN_MARGIN = 3
const MAX_INTERVAL_MS = 1000
/** Number of pings within the limit, for short limits. */
const MIN_PINGS = 4

export function startHeartbeat(deps: {
  /** Silence, in ms, that no announced run explains and after which the process counts as hung. */
  readonly limitMs: number
  readonly ping: () => void
  /** Called once, with the silence and the limit that it exceeded; the heartbeat has stopped then. */
  readonly onSilence: (silence: { readonly silentMs: number; readonly limitMs: number }) => void
  /**
   * Returns the milliseconds, since the call before, for which the process was ready to run and got no CPU: on an
   * overloaded machine a run takes longer than announced, and its silence shows nothing. None unless given.
   */
  readonly waitedMs?: () => number
  readonly now?: () => number
}): Heartbeat {
  const { ping, onSilence, waitedMs = () => 0, now = () => performance.now() } = deps
  const intervalMs = Math.min(MAX_INTERVAL_MS, deps.limitMs / MIN_PINGS)
  let heardAt = now()
  let tickedAt = heardAt
  let { limitMs } = deps

  function tick(): void {
    // When this process was blocked or stopped itself, answers may wait unread: its own delay does not count.
    const delay = now() - tickedAt - intervalMs
    if (delay > intervalMs) heardAt += delay
    heardAt = Math.min(now(), heardAt + Math.min(waitedMs(), now() - tickedAt))
    tickedAt = now()
    const silentMs = now() - heardAt
    if (silentMs <= limitMs) {
      ping()
      return
    }
    clearInterval(timer)
    onSilence({ silentMs, limitMs })
  }

  const timer = setInterval(tick, intervalMs)
  timer.unref()
  return {
    heard() {
      heardAt = now()
      limitMs = deps.limitMs
    },
    expectRun(expectedMs) {
      heardAt = now()
      limitMs = Math.max(deps.limitMs, RUN_MARGIN * expectedMs)
    },
    ageMs: () => now() - heardAt,
    stop: () => clearInterval(timer),
  }
}
