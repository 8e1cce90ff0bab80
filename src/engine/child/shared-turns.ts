/**
 * @file Turns of the scheduler while heavy callers and others are served.
 *
 * A request of a light caller is a chain of short calls, and each call that finds a heavy run in progress
 * waits for its end. Heavy runs are therefore short, and after a light turn the next call is awaited for a
 * moment. A heavy run follows at least every `lightMs`.
 */

import type { Linger } from './linger.ts'
import type { Row } from './row.ts'
import type { RowShares } from './row-queue.ts'
import type { ChunkLimits, TurnRuns } from './turn-runs.ts'

/** Bounds on the runs of the heavy callers. */
export interface SharedLimits extends ChunkLimits {
  /** Time, in ms, after a heavy run from which on light callers no longer come first; 20 by default. */
  readonly lightMs?: number
}

export interface SharedTurns {
  /** Takes one turn: rows of the light callers, one short run of the heavy ones, or a moment of waiting. */
  take(shares: RowShares): Promise<void>
  /** Notes a call of a light caller. */
  arrived(): void
}

const LIGHT_MS = 20
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
  const lightMs = limits.lightMs ?? LIGHT_MS
  let lastHeavy: 'fed' | 'decoded' = 'decoded'
  let heavyRanAt = Number.NEGATIVE_INFINITY
  /** Whether the light callers had a turn since the last heavy run. */
  let hadLightTurn = false
  /** Whether their next call may be worth a wait. */
  let mayLinger = false

  async function takeLight(rows: readonly Row[]): Promise<void> {
    hadLightTurn = true
    mayLinger = true
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
    if (isFeeding) {
      await runs.feedSome(feeding, Math.max(MIN_INPUT_TOKENS, Math.floor(limits.runMs / deps.msPerToken())))
    } else {
      await runs.decode(decoding, limits)
    }
    heavyRanAt = performance.now()
    hadLightTurn = false
    mayLinger = false
  }

  return {
    async take(shares) {
      const { light } = shares
      const comesFirst = performance.now() - heavyRanAt < lightMs
      if (light.length > 0 && (comesFirst || !hadLightTurn)) await takeLight(light)
      else if (light.length === 0 && comesFirst && mayLinger) await linger()
      else await takeHeavy(shares)
    },
    arrived() {
      mayLinger = true
    },
  }
}

function firstOf(rows: readonly Row[], count: number, isWanted: (row: Row) => boolean): Row[] {
  return rows.values().filter(isWanted).take(count).toArray()
}
