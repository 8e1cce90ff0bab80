/**
 * @file Continuous batching: rows of all sessions share the runs of one generation graph.
 *
 * A row is some tokens to feed on top of a cache, and perhaps tokens to decode after them. Time is cut into runs: rows that
 * must be fed (prefills, verdicts, changed prefixes) take one short run, then the decoding rows together take one chunk of
 * tokens. Rows leave when they finish and join when a run ends; between runs the process reads its messages. What is due
 * first runs first; background rows run while no others are there, and take a short turn now and then so as not to starve.
 */

import { setImmediate } from 'node:timers/promises'
import { coerceError, ServiceError } from '#errors'
import type { Priority } from '#ports'
import { createRandom, type Random } from '#tensor'
import {
  BATCH_ROWS_BOUNDS,
  type EngineCounters,
  observe,
  QUEUE_MS_BOUNDS,
  zeroCounters,
} from '../counters.ts'
import { formBatches } from './form-batches.ts'
import { allocateAgain, compact, type KvLayout, type KvView, viewLength } from './key-values.ts'
import {
  composeFeeds,
  type StepFeeds,
  type StepFetches,
  type StepOutcome,
  type StepRow,
  splitFetches,
} from './step-batch.ts'

interface RowRequest {
  /** Positions already cached. */
  readonly past: KvView | null
  /** Tokens after them, at least one. */
  readonly input: readonly number[]
  /** Null feeds the input and no more. */
  readonly decode: {
    readonly temperature: number
    readonly seed: number
    /** At least one. */
    readonly maxNewTokens: number
    /** How many leading states to return. */
    readonly latents: number
  } | null
  /** Index in `input` of the first token whose layer states count in the thought; none is wanted unless given. */
  readonly thoughtFrom?: number | null
  /** Whether the row's cache is wanted back. */
  readonly keepCache: boolean
  /** Drops the row when the next run is formed. */
  readonly signal: AbortSignal
  /** Interactive unless given. */
  readonly priority?: Priority
  /** On the clock of `performance.now()`; now unless given. */
  readonly dueAt?: number
}

export interface RowResult {
  /** Decoded tokens, EOS included. */
  readonly tokens: readonly number[]
  readonly endedByEos: boolean
  /** Decoding: the states that predicted the first tokens, `[<= latents, D]`. Else the state of the last input token, `[1, D]`. */
  readonly hiddenStates: Float32Array
  /** Layer states summed over the fed tokens from `thoughtFrom` on and all decoded tokens but the last, `[L+1, D]`. */
  readonly thoughtSum: Float32Array | null
  /** Cache of past, input and all decoded tokens but the last, in memory of its own; null unless asked for. */
  readonly cached: KvView | null
}

/** The generation graph. */
export interface StepRunner {
  readonly layout: KvLayout
  readonly padding: 'any' | 'right'
  readonly hiddenSize: number
  /** L + 1; 0 when the graph gives no thoughts, and asking for them is an error. */
  readonly thoughtLayers: number
  run(
    feeds: StepFeeds,
    fetch: { hiddenStates: boolean; thoughtSums: boolean; present: boolean },
  ): Promise<StepFetches>
}

export interface SchedulerLimits {
  /** Rows that share a run, and rows that decode at a time. */
  readonly maxRunningRows: number
  /**
   * Tokens per run while decoding, fewest and most; between them as many as take `runMs`, which is what a new row or a
   * cancellation waits for. How time is cut never changes a token.
   */
  readonly chunkTokens: readonly [fewest: number, most: number]
  readonly runMs: number
  /** Most tokens fed by one run, padding included; longer prompts take several runs. */
  readonly maxInputTokens: number
  /** How long background rows give way to others before they take a turn; a second unless given. */
  readonly backgroundWaitMs?: number
}

const BACKGROUND_WAIT_MS = 1000
/** Upper bound, in ms, on the tasks run between two batches. */
const MAX_BETWEEN_BATCHES_MS = 100

export interface SchedulerLoad {
  readonly waitingRows: number
  readonly runningRows: number
  /** Sessions with a row in a run. */
  readonly runningSessions: number
}

export interface Scheduler {
  /** @throws ServiceError ABORTED when the row's signal fires, SESSION_FAILED when the graph fails on this row alone. */
  submit(request: RowRequest): Promise<RowResult>
  /** Runs a short task of another graph before the next run, undisturbed by this one. */
  runBetweenBatches<Result>(task: () => Promise<Result>): Promise<Result>
  load(): SchedulerLoad
  /** They go on counting. */
  totals(): EngineCounters
}

interface Row {
  readonly request: RowRequest
  readonly random: Random | null
  readonly resolve: (result: RowResult) => void
  readonly reject: (error: Error) => void
  readonly submittedAt: number
  readonly priority: Priority
  readonly dueAt: number
  past: KvView | null
  /** Tokens not cached yet. */
  input: readonly number[]
  /** As in the request, but of the input that is left. */
  thoughtFrom: number | null
  thoughtSum: Float32Array | null
  readonly tokens: number[]
  readonly states: Float32Array[]
  stateCount: number
  /** Number of the last run this row took part in; 0 = still waiting for its first. */
  lastRun: number
  /** The same, or the last run before the row came: groups of rows take turns by it. */
  turn: number
}

export function createScheduler(deps: {
  readonly runner: StepRunner
  readonly eosTokenIds: readonly number[]
  readonly limits: SchedulerLimits
  /** Called when the numbers of `load()` may have changed. */
  readonly onLoad?: (load: SchedulerLoad) => void
}): Scheduler {
  const { runner, limits, onLoad } = deps
  const eosTokenIds = new Set(deps.eosTokenIds)
  const batchLimits = {
    padding: runner.padding,
    maxRows: limits.maxRunningRows,
    maxInputTokens: limits.maxInputTokens,
  }
  const allocate = allocateAgain(runner.layout)
  const side = runner.padding === 'right' ? 'right' : 'left'
  /** Every row not answered yet, in the order they are due. */
  const queue: Row[] = []
  const tasksBetweenBatches: (() => Promise<void>)[] = []
  let working = false
  let runs = 0
  let backgroundRanAt = Number.NEGATIVE_INFINITY
  /** Of the last decoding run; unknown before the first. */
  let msPerStep = Number.POSITIVE_INFINITY
  const totals = zeroCounters()

  /** Decoding rows beyond the first `maxRunningRows` wait; all others are fed as they come. */
  function admitted(priority: Priority): Row[] {
    let decoding = 0
    return queue.filter(
      (row) =>
        row.priority === priority && (row.request.decode === null || ++decoding <= limits.maxRunningRows),
    )
  }
  const isDecoding = ({ request, input }: Row) => request.decode !== null && input.length === 1

  function wake(): void {
    if (working) return
    working = true
    void work()
  }

  async function work(): Promise<void> {
    while (queue.length > 0 || tasksBetweenBatches.length > 0) {
      await checkpoint()
      await takeTurn(whoseTurn())
    }
    working = false
    onLoad?.(load())
  }

  function whoseTurn(): Priority {
    const waits = (priority: Priority) => queue.some((row) => row.priority === priority)
    if (!waits('background')) return 'interactive'
    const waitMs = limits.backgroundWaitMs ?? BACKGROUND_WAIT_MS
    const isStarving = performance.now() - backgroundRanAt >= waitMs
    return isStarving || !waits('interactive') ? 'background' : 'interactive'
  }

  /** Feeds what must be fed, then decodes a chunk. Background turns are short: somebody may come and want to be served. */
  async function takeTurn(priority: Priority): Promise<void> {
    const isBackground = priority === 'background'
    const sizeOf = (row: Row) => ({ covered: viewLength(row.past), input: nextInput(row).length })
    const feeding = formBatches(
      admitted(priority).filter((row) => !isDecoding(row)),
      sizeOf,
      batchLimits,
    )
    for (const batch of isBackground ? feeding.slice(0, 1) : feeding) {
      await runBatch(batch.filter(isOpen), 1)
      await checkpoint()
    }
    const groups = formBatches(admitted(priority).filter(isDecoding), sizeOf, batchLimits)
    // Groups take turns; among equals the group of what is due first.
    const group = groups.reduce<Row[]>(
      (next, rows) => (next.length === 0 || rows[0]!.turn < next[0]!.turn ? rows : next),
      [],
    )
    await runBatch(group, isBackground ? limits.chunkTokens[0] : chunkTokens())
    if (isBackground) backgroundRanAt = performance.now()
  }

  /** Lets messages in, forgets cancelled rows, and runs the tasks of other graphs. */
  async function checkpoint(): Promise<void> {
    await setImmediate()
    for (const row of queue.filter(({ request }) => request.signal.aborted)) {
      leave(row)
      row.reject(aborted(row.request.signal))
    }
    const startedAt = performance.now()
    const elapsed = () => performance.now() - startedAt
    while (tasksBetweenBatches.length > 0 && elapsed() < MAX_BETWEEN_BATCHES_MS)
      await tasksBetweenBatches.shift()!()
    totals.headMs += elapsed()
  }

  function chunkTokens(): number {
    const [fewest, most] = limits.chunkTokens
    return Math.min(most, Math.max(fewest, Math.floor(limits.runMs / msPerStep)))
  }

  const isOpen = (row: Row) => queue.includes(row)

  function leave(row: Row): void {
    queue.splice(queue.indexOf(row), 1)
  }

  /** The next piece of a row's input: a long prompt is fed in several runs. */
  function nextInput({ input }: Row): readonly number[] {
    return input.length <= limits.maxInputTokens ? input : input.slice(0, limits.maxInputTokens)
  }

  async function runBatch(rows: readonly Row[], chunk: number): Promise<void> {
    if (rows.length === 0) return
    const steps = Math.min(chunk, Math.max(...rows.map(remaining)))
    const stepRows = rows.map((row) => stepRow(row, steps))
    runs += 1
    for (const row of rows) {
      if (row.lastRun === 0) observe(totals.queueMs, QUEUE_MS_BOUNDS, performance.now() - row.submittedAt)
      row.lastRun = runs
      row.turn = runs
    }
    // Said now: the run keeps this process from saying anything.
    onLoad?.(load())
    let outcomes: StepOutcome[]
    try {
      const startedAt = performance.now()
      const feeds = composeFeeds(runner.layout, side, stepRows, steps, allocate)
      const composedAt = performance.now()
      const fetches = await runner.run(feeds, {
        hiddenStates: rows.some((row) => wantedStates(row) > 0),
        thoughtSums: rows.some(({ thoughtFrom }) => thoughtFrom !== null),
        present: rows.some(({ request, input }, index) => {
          return request.decode !== null || request.keepCache || stepRows[index]!.input.length < input.length
        }),
      })
      const ranAt = performance.now()
      if (chunk > 1) msPerStep = (ranAt - startedAt) / fetches.emitted
      totals.generationMs += ranAt - composedAt
      observe(totals.batchRows, BATCH_ROWS_BOUNDS, rows.length)
      outcomes = splitFetches(stepRows, feeds, fetches, eosTokenIds)
    } catch (thrown) {
      await recover(rows, chunk, coerceError(thrown))
      return
    }
    rows.forEach((row, index) => {
      advance(row, stepRows[index]!.input.length, outcomes[index]!)
    })
  }

  /** One row's fault must not fail the others: a batch that fails is tried again row by row. */
  async function recover(rows: readonly Row[], chunk: number, error: Error): Promise<void> {
    if (rows.length > 1) {
      for (const row of rows) await runBatch([row], chunk)
      return
    }
    const [row] = rows
    leave(row!)
    row!.reject(
      new ServiceError('SESSION_FAILED', `engine: expected the model to run, got: ${error.message}`, {
        cause: error,
      }),
    )
  }

  function stepRow(row: Row, steps: number): StepRow {
    const { decode } = row.request
    const input = nextInput(row)
    const decodes = decode !== null && input.length === row.input.length
    return {
      past: row.past,
      input,
      temperature: decodes ? decode.temperature : 0,
      remaining: decodes ? remaining(row) : 1,
      uniforms: decodes && row.random ? drawUniforms(row.random, steps) : null,
      thoughtFrom: row.thoughtFrom === null ? null : Math.min(row.thoughtFrom, input.length),
    }
  }

  function advance(row: Row, fed: number, outcome: StepOutcome): void {
    const { request } = row
    if (!isDecoding(row)) totals.prefillTokens += fed
    row.past = outcome.cached
    collectThought(row, fed, outcome)
    const last = fed === row.input.length
    if (last) collectStates(row, outcome)
    if (!last) {
      row.input = row.input.slice(fed)
      return
    }
    if (request.decode !== null) {
      row.tokens.push(...outcome.tokens)
      totals.decodeTokens += outcome.tokens.length
      if (!outcome.endedByEos && remaining(row) > 0) {
        row.input = outcome.tokens.slice(-1)
        return
      }
    }
    leave(row)
    row.resolve({
      tokens: row.tokens,
      endedByEos: request.decode !== null && outcome.endedByEos,
      hiddenStates: concatenate(row.states, row.stateCount * runner.hiddenSize),
      thoughtSum: row.thoughtSum,
      cached: request.keepCache && row.past ? compact(runner.layout, row.past) : null,
    })
  }

  function wantedStates({ request, stateCount }: Row): number {
    return (request.decode === null ? 1 : request.decode.latents) - stateCount
  }

  function collectStates(row: Row, { hiddenStates }: StepOutcome): void {
    const wanted = wantedStates(row)
    if (hiddenStates === null || wanted <= 0) return
    const states = hiddenStates.subarray(0, wanted * runner.hiddenSize)
    row.states.push(states)
    row.stateCount += states.length / runner.hiddenSize
  }

  function collectThought(row: Row, fed: number, { thoughtSum }: StepOutcome): void {
    if (row.thoughtFrom === null || thoughtSum === null) return
    row.thoughtFrom = Math.max(0, row.thoughtFrom - fed)
    const sum = row.thoughtSum ?? new Float32Array(thoughtSum.length)
    row.thoughtSum = sum.map((value, i) => value + thoughtSum[i]!)
  }

  function load(): SchedulerLoad {
    const running = queue.filter(({ lastRun }) => lastRun > 0)
    return {
      runningRows: running.length,
      waitingRows: queue.length - running.length,
      // A session's rows share its signal.
      runningSessions: new Set(running.map(({ request }) => request.signal)).size,
    }
  }

  return {
    load,
    totals: () => totals,
    submit(request) {
      return new Promise((resolve, reject) => {
        const { decode, priority = 'interactive', dueAt = performance.now() } = request
        const place = queue.findLastIndex((other) => other.dueAt <= dueAt) + 1
        queue.splice(place, 0, {
          request,
          random: decode && decode.temperature > 0 ? createRandom(decode.seed) : null,
          resolve,
          reject,
          submittedAt: performance.now(),
          priority,
          dueAt,
          past: request.past,
          input: request.input,
          thoughtFrom: request.thoughtFrom ?? null,
          thoughtSum: null,
          tokens: [],
          states: [],
          stateCount: 0,
          lastRun: 0,
          turn: runs,
        })
        wake()
      })
    },
    runBetweenBatches(task) {
      return new Promise((resolve, reject) => {
        tasksBetweenBatches.push(() => task().then(resolve, reject))
        wake()
      })
    },
  }
}

/** Tokens a row may still emit. */
function remaining({ request, tokens }: Row): number {
  return request.decode === null ? 1 : request.decode.maxNewTokens - tokens.length
}

/** A row that goes on has used every number of every earlier run, so its numbers never depend on how time was cut. */
function drawUniforms(random: Random, steps: number): Float32Array {
  return Float32Array.from({ length: steps }, () => random.uniform())
}

function concatenate(parts: readonly Float32Array[], size: number): Float32Array {
  if (parts.length === 1) return parts[0]!.slice()
  const out = new Float32Array(size)
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

function aborted(signal: AbortSignal): ServiceError {
  return new ServiceError(
    'ABORTED',
    'engine: the session was closed while its rows were waiting or running',
    {
      cause: signal.reason,
    },
  )
}
