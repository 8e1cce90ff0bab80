/** @file Questions of the past, solved again: what a consolidation judges its candidates by. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { TrialQuestion } from '#algorithms'
import type { Engine } from '#engine'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import type { SessionOptions } from '#ports'
import type { ActiveModels } from '#serving'
import { createSolver, type Solver, type SolverLogger } from '#solving'

export interface ReplayQuestion {
  readonly tenantId: string
  readonly question: string
  /** What the answer should be, as far as somebody said; null when nobody did. */
  readonly reference: string | null
}

export interface ReplayDeps {
  readonly engine: Engine
  readonly episodes: EpisodeStore
  readonly logger: SolverLogger
}

export interface ReplayOptions {
  /** What is put to the test. */
  readonly learned: ActiveModels
  /** Whether memory helps, and which episodes it passes over: those of the questions themselves would give them away. */
  readonly retrieval: boolean
  readonly exclude: readonly string[]
  readonly signal: AbortSignal
  /** Questions at once; 8 unless given. */
  readonly concurrency?: number
}

/**
 * Solves every question by `auto`, at background priority, and remembers nothing. Questions have seeds by their place, so that two
 * replays of the same questions differ by what was put to the test alone. An engine that is overloaded is waited for.
 *
 * @returns one for each question, in order.
 * @throws ServiceError ABORTED when the signal fires; ARTIFACT_INVALID when the weaver fails, STORE_UNAVAILABLE; PROMPT_TOO_LONG; ENGINE_CRASHED after one retry, ENGINE_UNAVAILABLE
 */
export async function replay(
  { engine, episodes, logger }: ReplayDeps,
  questions: readonly ReplayQuestion[],
  { learned, retrieval, exclude, signal, concurrency = 8 }: ReplayOptions,
): Promise<readonly TrialQuestion[]> {
  const solver = createSolver({
    engine: inBackground(engine),
    episodes: { ...episodes, nearest: (query) => episodes.nearest({ ...query, exclude }) },
    logger,
    activeModels: () => learned,
  })
  const replayed = new Array<TrialQuestion>(questions.length)
  const entries = questions.entries()
  const lane = async () => {
    for (const [place, given] of entries) {
      replayed[place] = await replayOne(solver, given, { retrieval, seed: place, signal })
    }
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  return replayed
}

async function replayOne(
  solver: Solver,
  { tenantId, question, reference }: ReplayQuestion,
  { retrieval, seed, signal }: { retrieval: boolean; seed: number; signal: AbortSignal },
): Promise<TrialQuestion> {
  const solution = await solver.solve(
    {
      ...{ tenantId, question, seed, strategy: 'auto', learn: false, explain: false },
      ...(!retrieval && { retrieval: false }),
    },
    { signal },
  )
  const { reward, answer, stopped, iterations, evaluations, usage, degraded } = solution
  // An answer found without what was to be judged says nothing about it.
  if (degraded.includes('retrieval')) {
    throw new ServiceError('STORE_UNAVAILABLE', 'replay: expected a memory, got none')
  }
  if (degraded.includes('weaver')) {
    throw new ServiceError('ARTIFACT_INVALID', 'replay: expected a weaver that weaves, got one that failed')
  }
  return {
    question,
    reward,
    correct: reference === null ? null : answer === solver.normaliseAnswer(reference),
    firstPass: stopped === 'reward' && iterations === 0,
    iterations,
    evaluations,
    generatedTokens: usage.generatedTokens,
  }
}

/** The engine, for work that lets everybody else go first. */
function inBackground(engine: Engine): Engine {
  const open = async (prompt: readonly number[], options: SessionOptions) => {
    for (;;) {
      try {
        return await engine.open(prompt, { ...options, priority: 'background' })
      } catch (error) {
        if (!hasCode(error, 'ENGINE_OVERLOADED')) throw error
        await pause(error as ServiceError, options.signal)
      }
    }
  }
  return { ...engine, open }
}

async function pause({ retryAfterSeconds = 1 }: ServiceError, signal: AbortSignal): Promise<void> {
  try {
    await sleep(retryAfterSeconds * 1000, undefined, { signal })
  } catch (cause) {
    throw new ServiceError('ABORTED', 'replay: expected the engine to have room, got a stop', { cause })
  }
}
