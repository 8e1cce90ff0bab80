/**
 * @file A generation graph that computes nothing and takes a given time on the clock of `performance.now()`, which it
 * advances itself: tests of scheduling by time, without waiting.
 */

import { onTestFinished, vi } from 'vitest'
import type { KvBlock } from '../../src/engine/child/key-values.ts'
import type { RowResult } from '../../src/engine/child/row.ts'
import { createScheduler, type Scheduler, type SchedulerLimits } from '../../src/engine/child/scheduler.ts'
import type { StepFeeds, StepRunner } from '../../src/engine/child/step-batch.ts'

/** Milliseconds of a run: a fixed part, per token fed, and per decoded token by the number of rows. */
export interface RunCosts {
  readonly run: number
  readonly perToken: number
  perStep(rows: number): number
}

interface TimedRun {
  readonly rows: number
  readonly steps: number
  readonly inputLength: number
  readonly pastLength: number
  /** On the clock of the test. */
  readonly startedAt: number
  readonly ms: number
}

export interface TimedScheduler {
  readonly scheduler: Scheduler
  readonly runs: readonly TimedRun[]
  /** Called before each run, with the number of runs so far; may submit rows. */
  onRun: (run: number) => void
  submit(row: TimedRow): TimedResult
}

interface TimedRow {
  readonly prompt?: number
  readonly cached?: number
  /** 0: the input is fed and nothing is decoded. */
  readonly maxNewTokens?: number
  readonly signal?: AbortSignal
  readonly priority?: 'interactive' | 'background'
  readonly caller?: string
}

interface TimedResult {
  readonly submittedAt: number
  /** The result, and the milliseconds from submission to it. */
  readonly done: Promise<RowResult & { readonly ms: number }>
}

const LAYOUT = { layers: 1, heads: 1, headSize: 1, type: 'float32' } as const
const NEVER = new AbortController().signal

/** Creates a scheduler on such a graph, on a clock that stands still between the runs. */
export function timedScheduler(costs: RunCosts, limits: SchedulerLimits): TimedScheduler {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const runs: TimedRun[] = []
  const runner: StepRunner = {
    layout: LAYOUT,
    padding: 'any',
    keepsPast: false,
    maxWidth: null,
    hiddenSize: 1,
    thoughtLayers: 0,
    run: async (feeds) => {
      timed.onRun(runs.length)
      const ms = durationOf(feeds, costs)
      runs.push({ ...sizesOf(feeds), startedAt: performance.now(), ms })
      vi.advanceTimersByTime(ms)
      const { rows, steps, past, inputLength } = feeds
      return {
        tokens: new BigInt64Array(steps * rows).fill(9n),
        emitted: steps,
        hiddenStates: new Float32Array(steps * rows),
        thoughtSums: null,
        signals: null,
        traces: null,
        present: emptyBlock(rows, past.length + inputLength + steps - 1),
      }
    },
  }
  const scheduler = createScheduler({ runner, eosTokenIds: [2], limits })
  const timed: TimedScheduler = {
    scheduler,
    runs,
    onRun: () => {},
    submit({
      prompt = 1,
      cached = 0,
      maxNewTokens = 0,
      signal = NEVER,
      priority = 'interactive',
      caller = '',
    }) {
      const submittedAt = performance.now()
      const result = scheduler.submit({
        past: cached === 0 ? null : { block: emptyBlock(1, cached), row: 0, spans: [[0, cached]] },
        input: Array.from({ length: prompt }, () => 9),
        decode: maxNewTokens === 0 ? null : { temperature: 0, seed: 0, maxNewTokens, latents: 0 },
        keepCache: false,
        signal,
        priority,
        caller,
      })
      const done = result.then((row) => ({ ...row, ms: performance.now() - submittedAt }))
      return { submittedAt, done }
    },
  }
  return timed
}

function sizesOf({ rows, steps, inputLength, past }: StepFeeds) {
  return { rows, steps, inputLength, pastLength: past.length }
}

function durationOf({ rows, steps, inputLength }: StepFeeds, { run, perToken, perStep }: RunCosts): number {
  const fed = inputLength > 1 ? rows * inputLength * perToken : perStep(rows)
  return run + fed + (steps - 1) * perStep(rows)
}

function emptyBlock(rows: number, length: number): KvBlock {
  return { arrays: [new Float32Array(rows * length), new Float32Array(rows * length)], rows, length }
}
