/** @file Metrics of solves: results, costs and failures, recorded by a wrapper around the solver. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Engine } from '#engine'
import { ERROR_CODES, type ErrorCode, hasCode } from '#errors'
import type { Solution, Solver } from '#solving'

/** Buckets from a greedy answer of the bundled model to the longest `maxMs`. */
const SOLVE_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
const STEP_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const COUNTS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256]

/**
 * Codes whose series exist from the start, at 0, so that their first failure is an increase and not a new
 * series.
 */
const EXPECTED_CODES: readonly ErrorCode[] = [
  'ABORTED',
  'ENGINE_CRASHED',
  'ENGINE_CRASHED_BY_REQUEST',
  'ENGINE_OVERLOADED',
  'ENGINE_UNAVAILABLE',
  'INTERNAL',
  'MEMORY_EXCEEDED',
  'PROMPT_TOO_LONG',
  'SESSION_FAILED',
]

/**
 * Registers the metrics of solves.
 *
 * @returns function that wraps a solver; the wrapper returns and throws the same as the solver.
 */
export function registerSolveMetrics(
  registry: Registry,
  engine: Pick<Engine, 'status'>,
): (solver: Solver) => Solver {
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: `circadian:${name}`, help, labelNames, registers })
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[] = [],
  ) => new Histogram({ name: `circadian:${name}`, help, buckets, labelNames, registers })

  let inFlight = 0
  registerRequestGauges(registry, engine, () => inFlight)
  const success = counter('request_success_total', 'Solves that returned an answer.', ['strategy', 'stopped'])
  const failure = counter('request_failure_total', 'Solves that failed, by error code.', ['code'])
  for (const code of EXPECTED_CODES) failure.inc({ code }, 0)
  const improved = counter(
    'request_improved_total',
    'Solves whose answer has a higher reward than the draft.',
    ['strategy'],
  )
  const degraded = counter('request_degraded_total', 'Solves without an unavailable part, by part.', [
    'missing',
  ])
  const promptTokens = counter('prompt_tokens_total', 'Prompt tokens of solved requests.')
  const generationTokens = counter('generation_tokens_total', 'Tokens decoded by solved requests.')
  const rewardTokens = counter('reward_tokens_total', 'Tokens fed to the judge by solved requests.')
  const latency = histogram(
    'e2e_request_latency_seconds',
    'Time from a request to its stored answer.',
    SOLVE_SECONDS,
    ['strategy'],
  )
  const queueTime = histogram(
    'request_queue_time_seconds',
    'Time from the prompt to an open engine session; the waiting time of rows is row_queue_time_seconds.',
    SOLVE_SECONDS,
  )
  const phaseTime = histogram('request_phase_time_seconds', 'Time of each phase of a solve.', SOLVE_SECONDS, [
    'phase',
  ])
  const stepTime = histogram(
    'step_time_seconds',
    'Mean time of an optimiser step, for solves with at least one: includes regeneration, excludes judging.',
    STEP_SECONDS,
  )
  const steps = histogram('optimizer_steps', 'Optimiser steps per solve.', COUNTS, ['strategy'])
  const evaluations = histogram('evaluations', 'New answers judged per solve.', COUNTS, ['strategy'])
  const retrieved = histogram('episodes_retrieved', 'Episodes retrieved per solve.', COUNTS, ['strategy'])

  function succeed({ strategy, stopped, usage, timings, ...solution }: Solution): void {
    success.inc({ strategy, stopped })
    if (solution.improved) improved.inc({ strategy })
    for (const missing of solution.degraded) degraded.inc({ missing })
    promptTokens.inc(usage.promptTokens)
    generationTokens.inc(usage.generatedTokens)
    rewardTokens.inc(usage.rewardTokens)
    latency.observe({ strategy }, timings.totalMs / 1000)
    queueTime.observe(timings.queueMs / 1000)
    phaseTime.observe({ phase: 'retrieve' }, timings.retrieveMs / 1000)
    phaseTime.observe({ phase: 'draft' }, timings.draftMs / 1000)
    phaseTime.observe({ phase: 'optimize' }, timings.optimizeMs / 1000)
    phaseTime.observe({ phase: 'reward' }, timings.rewardMs / 1000)
    if (solution.iterations > 0) stepTime.observe(timings.optimizeMs / solution.iterations / 1000)
    steps.observe({ strategy }, solution.iterations)
    evaluations.observe({ strategy }, solution.evaluations)
    retrieved.observe({ strategy }, solution.retrieved.length)
  }

  return (solver) => ({
    modelId: solver.modelId,
    answerKeys: solver.answerKeys,
    check: solver.check,
    recall: solver.recall,
    async solve(request, options) {
      inFlight += 1
      try {
        const solution = await solver.solve(request, options)
        succeed(solution)
        return solution
      } catch (error) {
        failure.inc({ code: ERROR_CODES.find((code) => hasCode(error, code)) ?? 'INTERNAL' })
        throw error
      } finally {
        inFlight -= 1
      }
    },
  })
}

/** Registers the gauges of running and waiting requests. */
function registerRequestGauges(
  registry: Registry,
  engine: Pick<Engine, 'status'>,
  inFlight: () => number,
): void {
  const registers = [registry]
  const waiting = () => Math.min(inFlight(), engine.status().waitingSessions)
  new Gauge({
    name: 'circadian:num_requests_running',
    help: 'Requests being solved.',
    registers,
    collect() {
      this.set(inFlight() - waiting())
    },
  })
  new Gauge({
    name: 'circadian:num_requests_waiting',
    help: 'Requests that wait for an engine process, or that have no row in a batch.',
    registers,
    collect() {
      this.set(waiting())
    },
  })
}
