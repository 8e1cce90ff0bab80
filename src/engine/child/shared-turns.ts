/**
 * @file Turns of the scheduler while heavy callers and others are served.
 *
 * A request of a light caller is a chain of short calls, and each call that finds a heavy run in progress
 * waits for its end. Heavy runs are therefore short, and after a light turn the next call is awaited for a
 * moment. A turn of the heavy callers, of as many runs as `turnMs` holds, follows at least every `lightMs`; a new
 * light call ends it after the run in progress.
 */

import type { Linger } from './linger.ts'
import type { Row } from './row.ts'
import type { RowShares } from './row-queue.ts'
import type { ChunkLimits, TurnRuns } from './turn-runs.ts'

/** Bounds on the runs of the heavy callers. */
export interface SharedLimits extends ChunkLimits {
  /** Time, in ms, after a heavy run from which on light callers no longer come first; 20 by default. */
  readonly lightMs?: number
  /** Time, in ms, of a turn of the heavy callers beside light rows that decode; 10 by default. */
  readonly turnMs?: number
}

export interface SharedTurns {
  /** Takes one turn: rows of the light callers, one short run of the heavy ones, or a moment of waiting. */
  take(shares: RowShares): Promise<void>
  /** Notes a call of a light caller. */
  arrived(): void
}

const LIGHT_MS = 20
const TURN_MS = 10
/** Lower bound on the tokens fed by a run of the heavy callers. */
const MIN_INPUT_TOKENS = 32

export function createSharedTurns(deps: {
  readonly runs: TurnRuns
  readonly limits: SharedLimits
  /** Bounds on the turns of the light callers. */
  readonly usual: ChunkLimits
  /** Returns the milliseconds per token fed in the last run. */
  readonly msPerToken: () => number
  readonly linger: Linger
}): SharedTurns {
  const { runs, limits } = deps
  const { lightMs = LIGHT_MS, turnMs = TURN_MS } = limits
  let lastHeavy: 'fed' | 'decoded' = 'decoded'
  let heavyRanAt = Number.NEGATIVE_INFINITY
  /** Milliseconds that are left of the turn of the heavy callers. */
  let leftMs = 0
  /** Whether the light callers had a turn since the last heavy run. */
  let hadLightTurn = false
  /** Whether one of their calls came since the last heavy run began. */
  let hasArrived = false
  /** Whether their next call may be worth a wait. */
  let mayLinger = false

  async function takeLight(rows: readonly Row[]): Promise<void> {
    hadLightTurn = true
    mayLinger = true
    leftMs = 0
    await runs.take(rows, deps.usual)
  }

  async function linger(): Promise<void> {
    mayLinger = false
    await deps.linger.wait()
  }

  async function takeHeavy({ heavy, heavyPlaces }: RowShares): Promise<void> {
    const decoding = firstOf(heavy, heavyPlaces, (row) => row.isDecoding)
    const feeding = firstOf(heavy, heavyPlaces, (row) => !row.isDecoding)
    const isFeeding = feeding.length > 0 && (decoding.length === 0 || lastHeavy === 'decoded')
    lastHeavy = isFeeding ? 'fed' : 'decoded'
    const startedAt = performance.now()
    const turnLeftMs = leftMs > 0 ? leftMs : turnMs
    // A light call that arrives during the run ends the turn.
    leftMs = 0
    hasArrived = false
    if (isFeeding) {
      await runs.feedSome(feeding, Math.max(MIN_INPUT_TOKENS, Math.floor(limits.runMs / deps.msPerToken())))
    } else {
      await runs.decode(decoding, limits)
    }
    heavyRanAt = performance.now()
    if (!hasArrived) leftMs = turnLeftMs - (heavyRanAt - startedAt)
    hadLightTurn = false
    mayLinger = false
  }

  return {
    async take(shares) {
      const { light } = shares
      const comesFirst = performance.now() - heavyRanAt < lightMs
      if (light.length > 0 && leftMs > 0) await takeHeavy(shares)
      else if (light.length > 0 && (comesFirst || !hadLightTurn)) await takeLight(light)
      else if (light.length === 0 && comesFirst && mayLinger) await linger()
      else await takeHeavy(shares)
    },
    arrived() {
      mayLinger = true
      hasArrived = true
      leftMs = 0
    },
  }
}

function firstOf(rows: readonly Row[], count: number, isWanted: (row: Row) => boolean): Row[] {
  return rows.values().filter(isWanted).take(count).toArray()
}
