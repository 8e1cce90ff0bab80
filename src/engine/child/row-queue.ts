/**
 * @file All rows that are not settled, and the division of the engine between their callers.
 *
 * Callers take turns: the first row of each comes before the second row of any. The rows of one caller come
 * in the order of their deadlines. A caller is heavy when it has more rows than its share of the places in a
 * run. While there are others, heavy callers have runs of their own, so that the runs of the others are as
 * fast as if they were alone. Rows for which there is no memory yet wait for their turn.
 */

import type { Priority } from '#ports'
import type { MemoryBudget } from './memory-budget.ts'
import type { Row } from './row.ts'

export interface QueueLoad {
  readonly waitingRows: number
  readonly runningRows: number
  /** Sessions with a row in a run. */
  readonly runningSessions: number
}

/** Interactive rows, divided by the weight of their callers, in the order in which they may run. */
export interface RowShares {
  readonly light: readonly Row[]
  readonly heavy: readonly Row[]
  /** Upper bound on the heavy rows of a run. */
  readonly heavyPlaces: number
}

export interface RowQueue {
  isEmpty(): boolean
  has(wanted: Priority): boolean
  add(row: Row): void
  /**
   * Returns the rows that may run: decoding rows beyond the first `maxRunningRows` wait, all others are fed
   * at once.
   */
  admitted(priority: Priority): Row[]
  /** Whether the caller has more rows than its share. */
  isHeavy(caller: string): boolean
  /** Whether heavy callers and others are served at the moment. */
  isShared(): boolean
  /** Returns null unless heavy callers and others are served. */
  shares(): RowShares | null
  /** Settles and drops the rows of sessions that were closed or stopped. */
  dropEnded(): void
  dropSettled(): void
  load(): QueueLoad
}

/**
 * Time, in ms, for which a caller counts after its last row: between two calls of a request it has no row
 * here.
 */
const CALLER_MS = 1000

interface CallerRows {
  /** In the order of their deadlines. */
  rows: Row[]
  /** Time of the last row. */
  addedAt: number
}

export function createRowQueue(maxRunningRows: number, memory: MemoryBudget): RowQueue {
  /** Rows by caller. */
  const queues: Readonly<Record<Priority, Map<string, CallerRows>>> = {
    interactive: new Map(),
    background: new Map(),
  }
  const callersOf = (priority: Priority) => [...queues[priority].values()]
  const all = () => [...callersOf('interactive'), ...callersOf('background')]
  const shareOf = (callers: number) => Math.max(1, Math.floor(maxRunningRows / callers))
  const isHeavyOf =
    (callers: number) =>
    ({ rows }: CallerRows) =>
      rows.length > shareOf(callers)

  /** Returns the rows for which there is memory. Rows that have begun in the other priority hold their caches. */
  function withinMemory(rows: readonly Row[], priority: Priority): Row[] {
    const other = priority === 'interactive' ? 'background' : 'interactive'
    const idle = callersOf(other).flatMap((own) => own.rows.filter(({ isWaiting }) => !isWaiting))
    const held = idle.reduce((sum, { size }) => sum + memory.heldBy(size), 0)
    return memory.admit(rows, held)
  }

  function dropSettled(): void {
    for (const callers of Object.values(queues)) {
      for (const [caller, own] of callers) {
        if (own.rows.some(({ isSettled }) => isSettled)) {
          own.rows = own.rows.filter(({ isSettled }) => !isSettled)
        }
        const isGone = own.rows.length === 0 && performance.now() - own.addedAt > CALLER_MS
        if (isGone) callers.delete(caller)
      }
    }
  }

  return {
    isEmpty: () => all().every(({ rows }) => rows.length === 0),
    has: (wanted) => callersOf(wanted).some(({ rows }) => rows.length > 0),
    add(row) {
      const callers = queues[row.priority]
      const own = callers.get(row.caller) ?? { rows: [], addedAt: 0 }
      callers.set(row.caller, own)
      own.addedAt = performance.now()
      const place = own.rows.findLastIndex(({ dueAt }) => dueAt <= row.dueAt) + 1
      own.rows.splice(place, 0, row)
    },
    admitted(priority) {
      let decoding = 0
      const rows = inTurns(callersOf(priority)).filter((row) => !row.decodes || ++decoding <= maxRunningRows)
      return withinMemory(rows, priority)
    },
    isHeavy(caller) {
      const own = queues.interactive.get(caller)
      return own !== undefined && isHeavyOf(queues.interactive.size)(own)
    },
    isShared() {
      const callers = callersOf('interactive')
      const isHeavy = isHeavyOf(callers.length)
      return callers.some(isHeavy) && !callers.every(isHeavy)
    },
    shares() {
      if (!this.isShared()) return null
      const callers = callersOf('interactive')
      const isHeavy = isHeavyOf(callers.length)
      const heavy = callers.filter(isHeavy)
      const light = inTurns(callers.filter((caller) => !isHeavy(caller)))
      const admitted = new Set(withinMemory([...light, ...inTurns(heavy)], 'interactive'))
      return {
        light: light.filter((row) => admitted.has(row)),
        heavy: inTurns(heavy).filter((row) => admitted.has(row)),
        heavyPlaces: heavy.length * shareOf(callers.length),
      }
    },
    dropEnded() {
      for (const { rows } of all()) for (const row of rows) row.dropIfEnded()
      dropSettled()
    },
    dropSettled,
    load() {
      const open = all().flatMap(({ rows }) => rows.filter(({ isSettled }) => !isSettled))
      const running = open.filter(({ isWaiting }) => !isWaiting)
      return {
        runningRows: running.length,
        waitingRows: open.length - running.length,
        // The rows of a session share its signal.
        runningSessions: new Set(running.map(({ signal }) => signal)).size,
      }
    },
  }
}

/** Returns the rows of all callers, turn by turn; within a turn, in the order of their deadlines. */
function inTurns(callers: readonly CallerRows[]): readonly Row[] {
  if (callers.length === 1) return callers[0]!.rows
  const longest = Math.max(0, ...callers.map(({ rows }) => rows.length))
  return Array.from({ length: longest }, (_, turn) =>
    callers.flatMap(({ rows }) => rows[turn] ?? []).sort((a, b) => a.dueAt - b.dueAt),
  ).flat()
}
