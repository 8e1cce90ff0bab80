/**
 * @file Continuous batching: cuts time into runs of the generation graph, which rows of all sessions share.
 *
 * Rows that must be fed (prefills, verdicts, changed prefixes) take one short run; then the decoding rows
 * take one chunk of tokens together. Rows leave when they finish and join when a run ends; between runs the
 * process handles its messages. Callers take turns; the rows of one caller run in the order of their
 * deadlines. Background rows run when there are no interactive rows, and take a short turn now and then so
 * that they do not starve.
 */

import { setImmediate } from 'node:timers/promises'
import type { Priority } from '#ports'
import { type EngineCounters, zeroCounters } from '../counters.ts'
import { createBatchRunner } from './batch-runner.ts'
import { formBatches } from './form-batches.ts'
import { Row, type RowRequest, type RowResult } from './row.ts'
import { createRowQueue, type QueueLoad, type RowShares } from './row-queue.ts'
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
  /**
   * The same bounds on the runs of a heavy caller while other callers are served. Each call of the others
   * waits for the end of such a run. By default, these runs are no shorter.
   */
  readonly shared?: { readonly chunkTokens: readonly [min: number, max: number]; readonly runMs: number }
  /** Upper bound on the tokens fed by one run, padding included; longer prompts take several runs. */
  readonly maxInputTokens: number
  /** Time for which background rows give way to interactive ones before they take a turn; 1 s by default. */
  readonly backgroundWaitMs?: number
}

const BACKGROUND_WAIT_MS = 1000
/** Upper bound, in ms, on the tasks run between two batches. */
const MAX_BETWEEN_BATCHES_MS = 100
/** The same bound while heavy callers and others are served. */
const MAX_SHARED_BETWEEN_BATCHES_MS = 10
/** Lower bound on the tokens fed by a run of a heavy caller while other callers are served. */
const MIN_SHARED_INPUT_TOKENS = 32

export interface Scheduler {
  /**
   * @throws ServiceError ABORTED when the row's signal fires, SESSION_FAILED when the graph fails on this row
   * alone.
   */
  submit(request: RowRequest): Promise<RowResult>
  /**
   * Runs a short task of another graph before the next run, never at the same time as a run.
   * @param caller key or address of the caller, among whom tasks take turns; one for all by default
   */
  runBetweenBatches<Result>(task: () => Promise<Result>, caller?: string): Promise<Result>
  load(): QueueLoad
  /** Returns the live counters, which continue to change. */
  totals(): EngineCounters
}

interface SchedulerDeps {
  readonly runner: StepRunner
  readonly eosTokenIds: readonly number[]
  readonly limits: SchedulerLimits
  /** Called when the numbers of `load()` may have changed. */
  readonly onLoad?: (load: QueueLoad) => void
  /** Called just before each run of the generation graph with its expected duration in ms. */
  readonly onRun?: (expectedMs: number) => void
}

export function createScheduler(deps: SchedulerDeps): Scheduler {
  const { runner, eosTokenIds, limits, onLoad } = deps
  const { layout, hiddenSize, padding } = runner
  const { maxInputTokens, shared = limits } = limits
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
  /** Kind of the last interactive turn while heavy callers and others were served. */
  let lastShared: 'light' | 'feed heavy' | 'decode heavy' = 'light'

  function wake(): void {
    if (working) return
    working = true
    void work()
  }

  async function work(): Promise<void> {
    while (!queue.isEmpty() || !tasks.isEmpty()) {
      await pauseBetweenBatches()
      const priority = nextPriority()
      const shares = priority === 'interactive' ? queue.shares() : null
      await (shares === null ? takeTurn(priority) : takeSharedTurn(shares))
    }
    working = false
    reportLoad()
  }

  /** Lets messages in, drops cancelled rows, and runs the tasks of other graphs. */
  async function pauseBetweenBatches(): Promise<void> {
    await setImmediate()
    queue.dropAborted()
    const isShared = queue.isShared()
    totals.headMs += await tasks.run(isShared ? MAX_SHARED_BETWEEN_BATCHES_MS : MAX_BETWEEN_BATCHES_MS)
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
    const feeding = batchesOf(queue.admitted(priority).filter((row) => !row.isDecoding))
    for (const rows of isBackground ? feeding.slice(0, 1) : feeding) {
      await run(rows, 1)
      await pauseBetweenBatches()
      // Another caller has come: its rows need not wait until all of these are fed.
      if (!isBackground && queue.isShared()) return
    }
    const decoding = batchesOf(queue.admitted(priority).filter((row) => row.isDecoding))
    const rows = next(decoding)
    await run(rows, isBackground ? limits.chunkTokens[0] : chunkTokens(limits, rows))
    if (isBackground) backgroundRanAt = performance.now()
  }

  /** Takes a turn of the light callers, or one short run of the heavy ones; the two alternate. */
  async function takeSharedTurn({ light, heavy, heavyPlaces }: RowShares): Promise<void> {
    if (light.length > 0 && lastShared !== 'light') {
      lastShared = 'light'
      for (const rows of batchesOf(light.filter((row) => !row.isDecoding))) await run(rows, 1)
      const rows = next(batchesOf(light.filter((row) => row.isDecoding && !row.isSettled)))
      await run(rows, chunkTokens(limits, rows))
      return
    }
    const isDecoding = (row: Row) => row.isDecoding
    const decoding = heavy.values().filter(isDecoding).take(heavyPlaces).toArray()
    const feeding = heavy
      .values()
      .filter((row) => !row.isDecoding)
      .take(heavyPlaces)
      .toArray()
    const isFeeding = feeding.length > 0 && (decoding.length === 0 || lastShared !== 'feed heavy')
    lastShared = isFeeding ? 'feed heavy' : 'decode heavy'
    if (isFeeding) {
      const tokens = Math.max(MIN_SHARED_INPUT_TOKENS, Math.floor(shared.runMs / batches.msPerToken()))
      await run(batchesOf(feeding, Math.min(maxInputTokens, tokens))[0]!, 1)
    } else {
      const rows = next(batchesOf(decoding))
      await run(rows, chunkTokens(shared, rows))
    }
  }

  function batchesOf(rows: readonly Row[], maxTokens = maxInputTokens): Row[][] {
    return formBatches(rows, ({ size }) => size, { ...batchLimits, maxInputTokens: maxTokens })
  }

  /** Batches alternate; of batches that ran last at the same time, the first runs. */
  function next(candidates: readonly Row[][]): Row[] {
    return candidates.reduce<Row[]>(
      (first, rows) => (first.length === 0 || rows[0]!.lastRun < first[0]!.lastRun ? rows : first),
      [],
    )
  }

  async function run(rows: readonly Row[], maxSteps: number): Promise<void> {
    await batches.run(
      rows.filter(({ isSettled }) => !isSettled),
      maxSteps,
    )
    queue.dropSettled()
  }

  function chunkTokens(
    { chunkTokens: [min, max], runMs }: Pick<SchedulerLimits, 'chunkTokens' | 'runMs'>,
    rows: readonly Row[],
  ): number {
    return Math.min(max, Math.max(min, Math.floor(runMs / batches.msPerStep(rows.length))))
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
    runBetweenBatches(task, caller = '') {
      const result = tasks.add(task, caller)
      wake()
      return result
    },
  }
}

/** Creates a list of tasks of other graphs, which run between two batches; callers take turns. */
function createTaskList() {
  /** Tasks by caller; the caller that is next comes first. */
  const tasks = new Map<string, (() => Promise<void>)[]>()

  function take(): () => Promise<void> {
    const [caller, [first, ...rest]] = tasks.entries().next().value!
    tasks.delete(caller)
    if (rest.length > 0) tasks.set(caller, rest)
    return first!
  }

  return {
    isEmpty: () => tasks.size === 0,
    add<Result>(task: () => Promise<Result>, caller: string): Promise<Result> {
      return new Promise((resolve, reject) => {
        const settled = () => task().then(resolve, reject)
        const own = tasks.get(caller)
        if (own) own.push(settled)
        else tasks.set(caller, [settled])
      })
    },
    /**
     * Runs tasks in order until none is left or their time is up. Returns the milliseconds that they took.
     */
    async run(maxMs: number): Promise<number> {
      const startedAt = performance.now()
      const elapsed = () => performance.now() - startedAt
      while (tasks.size > 0 && elapsed() < maxMs) await take()()
      return elapsed()
    },
  }
}
