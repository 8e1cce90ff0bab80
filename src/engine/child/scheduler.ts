/**
 * @file Continuous batching: cuts time into runs of the generation graph, which rows of all sessions share.
 *
 * Rows that must be fed (prefills, verdicts, changed prefixes) take one short run; then the decoding rows
 * take one chunk of tokens together. Rows leave when they finish and join when a run ends; between runs the
 * process handles its messages. Rows run in the order of their deadlines. Background rows run when there are
 * no interactive rows, and take a short turn now and then so that they do not starve.
 */

import { setImmediate } from 'node:timers/promises'
import type { Priority } from '#ports'
import { type EngineCounters, zeroCounters } from '../counters.ts'
import { createBatchRunner } from './batch-runner.ts'
import { formBatches } from './form-batches.ts'
import { Row, type RowRequest, type RowResult } from './row.ts'
import type { StepRunner } from './step-batch.ts'

export interface SchedulerLimits {
  /** Upper bound on the rows of a run, and on the rows that decode at the same time. */
  readonly maxRunningRows: number
  /**
   * Bounds on the tokens of a decoding run. Between them a run takes as many tokens as fit into `runMs`,
   * which is how long a new row or a cancellation waits. The lengths of the runs never change a token.
   */
  readonly chunkTokens: readonly [min: number, max: number]
  readonly runMs: number
  /** Upper bound on the tokens fed by one run, padding included; longer prompts take several runs. */
  readonly maxInputTokens: number
  /** Time for which background rows give way to interactive ones before they take a turn; 1 s by default. */
  readonly backgroundWaitMs?: number
}

const BACKGROUND_WAIT_MS = 1000
/** Upper bound, in ms, on the tasks run between two batches. */
const MAX_BETWEEN_BATCHES_MS = 100

interface SchedulerLoad {
  readonly waitingRows: number
  readonly runningRows: number
  /** Sessions with a row in a run. */
  readonly runningSessions: number
}

export interface Scheduler {
  /**
   * @throws ServiceError ABORTED when the row's signal fires, SESSION_FAILED when the graph fails on this row
   * alone.
   */
  submit(request: RowRequest): Promise<RowResult>
  /** Runs a short task of another graph before the next run, never at the same time as a run. */
  runBetweenBatches<Result>(task: () => Promise<Result>): Promise<Result>
  load(): SchedulerLoad
  /** Returns the live counters, which continue to change. */
  totals(): EngineCounters
}

interface SchedulerDeps {
  readonly runner: StepRunner
  readonly eosTokenIds: readonly number[]
  readonly limits: SchedulerLimits
  /** Called when the numbers of `load()` may have changed. */
  readonly onLoad?: (load: SchedulerLoad) => void
  /** Called just before each run of the generation graph with its expected duration in ms. */
  readonly onRun?: (expectedMs: number) => void
}

export function createScheduler(deps: SchedulerDeps): Scheduler {
  const { runner, eosTokenIds, limits, onLoad } = deps
  const { layout, hiddenSize, padding } = runner
  const { maxInputTokens } = limits
  const rowSizes = { layout, hiddenSize, maxInputTokens }
  const batchLimits = { padding, maxRows: limits.maxRunningRows, maxInputTokens }
  const queue = createRowQueue(limits.maxRunningRows)
  const tasks = createTaskList()
  const totals = zeroCounters()
  // The load is reported before each run, because a run blocks this process.
  const reportLoad = () => onLoad?.(queue.load())
  const batches = createBatchRunner({
    graph: runner,
    eosTokenIds,
    counters: totals,
    onRun(expectedMs) {
      reportLoad()
      deps.onRun?.(expectedMs)
    },
  })
  let working = false
  let backgroundRanAt = Number.NEGATIVE_INFINITY

  function wake(): void {
    if (working) return
    working = true
    void work()
  }

  async function work(): Promise<void> {
    while (!queue.isEmpty() || !tasks.isEmpty()) {
      await pauseBetweenBatches()
      await takeTurn(nextPriority())
    }
    working = false
    reportLoad()
  }

  /** Lets messages in, drops cancelled rows, and runs the tasks of other graphs. */
  async function pauseBetweenBatches(): Promise<void> {
    await setImmediate()
    queue.dropAborted()
    totals.headMs += await tasks.run()
  }

  function nextPriority(): Priority {
    if (!queue.has('background')) return 'interactive'
    const waitMs = limits.backgroundWaitMs ?? BACKGROUND_WAIT_MS
    const isStarving = performance.now() - backgroundRanAt >= waitMs
    return isStarving || !queue.has('interactive') ? 'background' : 'interactive'
  }

  /**
   * Feeds the rows that must be fed, then decodes a chunk. Background turns are short: an interactive row may
   * come.
   */
  async function takeTurn(priority: Priority): Promise<void> {
    const isBackground = priority === 'background'
    const feeding = batchesOf(priority, (row) => !row.isDecoding)
    for (const rows of isBackground ? feeding.slice(0, 1) : feeding) {
      await run(rows, 1)
      await pauseBetweenBatches()
    }
    // Batches alternate; of batches that ran last at the same time, the one with the earliest deadline runs.
    const next = batchesOf(priority, (row) => row.isDecoding).reduce<Row[]>(
      (first, rows) => (first.length === 0 || rows[0]!.lastRun < first[0]!.lastRun ? rows : first),
      [],
    )
    await run(next, isBackground ? limits.chunkTokens[0] : chunkTokens())
    if (isBackground) backgroundRanAt = performance.now()
  }

  function batchesOf(priority: Priority, isWanted: (row: Row) => boolean): Row[][] {
    return formBatches(queue.admitted(priority).filter(isWanted), ({ size }) => size, batchLimits)
  }

  async function run(rows: readonly Row[], maxSteps: number): Promise<void> {
    await batches.run(
      rows.filter(({ isSettled }) => !isSettled),
      maxSteps,
    )
    queue.dropSettled()
  }

  function chunkTokens(): number {
    const [min, max] = limits.chunkTokens
    return Math.min(max, Math.max(min, Math.floor(limits.runMs / batches.msPerStep())))
  }

  return {
    load: queue.load,
    totals: () => totals,
    submit(request) {
      const row = new Row(request, rowSizes, batches.runs())
      queue.add(row)
      wake()
      return row.result
    },
    runBetweenBatches(task) {
      const result = tasks.add(task)
      wake()
      return result
    },
  }
}

/** Creates a list of all rows that are not settled, in the order of their deadlines. */
function createRowQueue(maxRunningRows: number) {
  let rows: Row[] = []
  const dropSettled = () => {
    rows = rows.filter(({ isSettled }) => !isSettled)
  }

  return {
    isEmpty: () => rows.length === 0,
    has: (wanted: Priority) => rows.some(({ priority }) => priority === wanted),
    add(row: Row): void {
      const place = rows.findLastIndex(({ dueAt }) => dueAt <= row.dueAt) + 1
      rows.splice(place, 0, row)
    },
    /**
     * Returns the rows that may run: decoding rows beyond the first `maxRunningRows` wait, all others are fed
     * at once.
     */
    admitted(priority: Priority): Row[] {
      let decoding = 0
      return rows.filter((row) => row.priority === priority && (!row.decodes || ++decoding <= maxRunningRows))
    },
    dropAborted(): void {
      for (const row of rows) if (row.signal.aborted) row.abort()
      dropSettled()
    },
    dropSettled,
    load(): SchedulerLoad {
      const open = rows.filter(({ isSettled }) => !isSettled)
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

/** Creates a list of tasks of other graphs, which run between two batches. */
function createTaskList() {
  const tasks: (() => Promise<void>)[] = []
  return {
    isEmpty: () => tasks.length === 0,
    add<Result>(task: () => Promise<Result>): Promise<Result> {
      return new Promise((resolve, reject) => {
        tasks.push(() => task().then(resolve, reject))
      })
    },
    /**
     * Runs tasks in order until none is left or their time is up. Returns the milliseconds that they took.
     */
    async run(): Promise<number> {
      const startedAt = performance.now()
      const elapsed = () => performance.now() - startedAt
      while (tasks.length > 0 && elapsed() < MAX_BETWEEN_BATCHES_MS) await tasks.shift()!()
      return elapsed()
    },
  }
}
