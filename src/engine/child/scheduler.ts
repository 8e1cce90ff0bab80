/**
 * @file Continuous batching: cuts time into runs of the generation graph, which rows of all sessions share.
 *
 * Each turn feeds rows (prefills, verdicts, changed prefixes) or decodes a chunk of tokens of the decoding rows
 * together, for about `runMs`. Rows leave when they finish and join when a run ends; between turns the process
 * handles its messages. Callers take turns; the rows of one caller run in the order of their deadlines.
 * Background rows run when there are no interactive rows, and take a turn now and then so that they do not
 * starve.
 */

import { setImmediate } from 'node:timers/promises'
import type { Priority } from '#ports'
import { type EngineCounters, zeroCounters } from '../counters.ts'
import { createBatchRunner } from './batch-runner.ts'
import { bytesPerPosition } from './key-values.ts'
import { createLinger } from './linger.ts'
import { createMemoryBudget, type MemoryBudget } from './memory-budget.ts'
import { Row, type RowRequest, type RowResult } from './row.ts'
import { createRowQueue, type QueueLoad, type RowQueue } from './row-queue.ts'
import { createSharedTurns, type SharedLimits } from './shared-turns.ts'
import type { StepRunner } from './step-batch.ts'
import { createTurnRuns } from './turn-runs.ts'

export interface SchedulerLimits {
  /** Upper bound on the rows of a run, and on the rows that decode at the same time. */
  readonly maxRunningRows: number
  /**
   * Bounds on the tokens of a decoding run. The lengths of the runs never change a token, but for the rounding of a
   * batch in a graph that keeps the past (`step-batch.ts`).
   */
  readonly chunkTokens: readonly [min: number, max: number]
  /**
   * Time, in ms, that a run aims at, and so the time for which a new row or a cancellation waits. Between their
   * bounds, runs decode and feed as many tokens as fit into it, by the durations of earlier runs.
   */
  readonly runMs: number
  /**
   * The same bounds on the runs of a heavy caller while other callers are served. Each call of the others
   * waits for the end of such a run. By default, these runs are no shorter.
   */
  readonly shared?: SharedLimits
  /** Upper bound on the tokens fed by one run, padding included; longer prompts take several runs. */
  readonly maxInputTokens: number
  /**
   * Least bytes of a prompt's cache that its answers share; 4 MiB by default. A shared cache must be copied when an
   * answer is continued or judged alone.
   */
  readonly minSharedBytes?: number
  /** Lower bound on the same number, which `runMs` does not go below; `maxInputTokens` by default. */
  readonly minInputTokens?: number
  /** Time for which background rows give way to interactive ones before they take a turn; 1 s by default. */
  readonly backgroundWaitMs?: number
  /** Upper bound, in ms, on the wait for the next call of a caller that has just been answered; 2 by default. */
  readonly lingerMs?: number
}

const BACKGROUND_WAIT_MS = 1000
const LINGER_MS = 2
const MIN_SHARED_BYTES = 4 * 2 ** 20
/** Upper bound, in ms, on the tasks run between two batches. */
const MAX_BETWEEN_BATCHES_MS = 100
/** The same bound while heavy callers and others are served. */
const MAX_SHARED_BETWEEN_BATCHES_MS = 10

export interface Scheduler {
  /**
   * @throws ServiceError ABORTED when the row's signal fires, SESSION_FAILED when the graph fails on this row
   * alone, MEMORY_EXCEEDED when there can never be memory for it.
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
  /** Memory of the runs; without bound by default. */
  readonly memory?: MemoryBudget
  /** Called once, when a run has failed for want of memory, with the budget in bytes from now on. */
  readonly onOutOfMemory?: (budget: number, error: Error) => void
  /** Called when the numbers of `load()` may have changed. */
  readonly onLoad?: (load: QueueLoad) => void
  /** Called just before each run of the generation graph with its expected duration in ms. */
  readonly onRun?: (expectedMs: number) => void
  /**
   * Called before `onRun` with the sessions of the rows of the run, each once; with none before tasks of other
   * graphs, and when there is no more work.
   */
  readonly onSessions?: (sessions: readonly number[]) => void
}

export function createScheduler(deps: SchedulerDeps): Scheduler {
  const { runner, eosTokenIds, limits, onLoad, onSessions } = deps
  const { layout, hiddenSize, padding } = runner
  const { shared = limits, minSharedBytes = MIN_SHARED_BYTES } = limits
  const unbounded = { bytes: Number.POSITIVE_INFINITY, positionBytes: bytesPerPosition(layout) }
  const memory = deps.memory ?? createMemoryBudget(unbounded)
  const queue = createRowQueue(limits.maxRunningRows, memory)
  const tasks = createTaskList()
  const totals = zeroCounters()
  // The load is reported before each run, because a run blocks this process.
  const reportLoad = () => onLoad?.(queue.load())
  const batches = createBatchRunner({
    graph: runner,
    eosTokenIds,
    counters: totals,
    memory,
    onOutOfMemory: deps.onOutOfMemory ?? (() => undefined),
    onRun(rows, expectedMs) {
      // Before the load: the parent must know whose rows run as soon as it knows that some do.
      onSessions?.([...new Set(rows.map(({ session }) => session))])
      reportLoad()
      deps.onRun?.(expectedMs)
    },
  })
  let working = false
  const priorities = createPriorities(queue, limits.backgroundWaitMs ?? BACKGROUND_WAIT_MS)
  const rowSizes = {
    layout,
    hiddenSize,
    minSharedBytes,
    get maxInputTokens() {
      return fedTokens(limits, batches.msPerToken())
    },
  }
  const batchLimits = {
    padding,
    maxRows: limits.maxRunningRows,
    fitsMemory: memory.fits,
    get maxInputTokens() {
      return rowSizes.maxInputTokens
    },
  }
  const linger = createLinger(limits.lingerMs ?? LINGER_MS)
  const turnRuns = createTurnRuns({ batches, queue, limits: batchLimits, linger })
  const sharedTurns = createSharedTurns({
    limits: shared,
    runs: turnRuns,
    usual: limits,
    msPerToken: batches.msPerToken,
    linger,
  })

  function wake(): void {
    if (working) return
    working = true
    void work()
  }

  async function work(): Promise<void> {
    while (!queue.isEmpty() || !tasks.isEmpty()) {
      await pauseBetweenBatches()
      const priority = priorities.next()
      const shares = priority === 'interactive' ? queue.shares() : null
      await (shares === null ? takeTurn(priority) : sharedTurns.take(shares))
    }
    working = false
    onSessions?.([])
    reportLoad()
  }

  /** Lets messages in, ends the rows of closed and stopped sessions, and runs the tasks of other graphs. */
  async function pauseBetweenBatches(): Promise<void> {
    await setImmediate()
    queue.dropEnded()
    if (!tasks.isEmpty()) onSessions?.([])
    const isShared = queue.isShared()
    totals.headMs += await tasks.run(isShared ? MAX_SHARED_BETWEEN_BATCHES_MS : MAX_BETWEEN_BATCHES_MS)
  }

  async function takeTurn(priority: Priority): Promise<void> {
    await turnRuns.take(queue.admitted(priority), limits)
    priorities.ran(priority)
  }

  function arrive(caller: string): void {
    if (!queue.isHeavy(caller)) {
      sharedTurns.arrived()
      linger.arrived()
    }
    wake()
  }

  return {
    load: queue.load,
    totals: () => totals,
    async submit(request) {
      const row = new Row(request, rowSizes, batches.runs())
      memory.check(row.size)
      queue.add(row)
      arrive(row.caller)
      return await row.result
    },
    runBetweenBatches(task, caller = '') {
      const result = tasks.add(task, caller)
      arrive(caller)
      return result
    },
  }
}

/**
 * Returns the tokens that one run may feed: the greatest power of two that fits into `runMs`, within the bounds.
 * Powers of two, so that noise in the timing changes neither the shapes of the runs nor the sums that round.
 */
function fedTokens({ runMs, maxInputTokens, minInputTokens }: SchedulerLimits, msPerToken: number): number {
  const fitting = 2 ** Math.floor(Math.log2(runMs / msPerToken))
  return Math.max(minInputTokens ?? maxInputTokens, Math.min(maxInputTokens, fitting))
}

/** Creates the choice between interactive and background rows. */
function createPriorities(queue: RowQueue, backgroundWaitMs: number) {
  let backgroundRanAt = Number.NEGATIVE_INFINITY
  return {
    next(): Priority {
      if (!queue.has('background')) return 'interactive'
      const isStarving = performance.now() - backgroundRanAt >= backgroundWaitMs
      return isStarving || !queue.has('interactive') ? 'background' : 'interactive'
    },
    ran(priority: Priority): void {
      if (priority === 'background') backgroundRanAt = performance.now()
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
