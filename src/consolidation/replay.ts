/** @file Replay: solves held-out questions again, to judge a candidate by the results. */

import type { TrialQuestion } from '#algorithms'
import type { Engine } from '#engine'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import type { ActiveModels } from '#serving'
import { createSolver, type Solver, type SolverLogger } from '#solving'
import { inBackground } from './open-replay-engine.ts'

export interface ReplayQuestion {
  readonly tenantId: string
  readonly question: string
  /** Cluster of near-duplicates that the question belongs to; the question itself unless given. */
  readonly cluster?: string
  /** Expected answer; null when it is unknown. */
  readonly reference: string | null
}

export interface ReplayDeps {
  readonly engine: Engine
  readonly episodes: EpisodeStore
  readonly logger: SolverLogger
}

export interface ReplayOptions {
  /** Models to solve with. */
  readonly learned: ActiveModels
  /** Whether episodes are retrieved. */
  readonly retrieval: boolean
  /** Ids of episodes that retrieval leaves out: the questions' own episodes would give the answers away. */
  readonly exclude: readonly string[]
  readonly signal: AbortSignal
  /** Seed of the first question; that of each next one is one higher. */
  readonly firstSeed?: number
  /** Number of questions solved at once; 8 by default. */
  readonly concurrency?: number
}

/**
 * Solves every question with the strategy `auto`, at background priority, and stores no episode. The seed of
 * a question is `firstSeed` plus its index, so that two replays of the same questions differ only by the
 * models. Waits while the engine is overloaded.
 *
 * @returns one result for each question, in order; null for one that does not fit the model (any more)
 * @throws ServiceError ABORTED when the signal fires; ARTIFACT_INVALID when the weaver or the reward model fails;
 * STORE_UNAVAILABLE when retrieval fails; ENGINE_CRASHED or ENGINE_CRASHED_BY_REQUEST
 * after retries; ENGINE_UNAVAILABLE
 */
export async function replay(
  { engine, episodes, logger }: ReplayDeps,
  questions: readonly ReplayQuestion[],
  { learned, retrieval, exclude, signal, firstSeed = 0, concurrency = 8 }: ReplayOptions,
): Promise<readonly (TrialQuestion | null)[]> {
  const solver = createSolver({
    engine: inBackground(engine),
    episodes: { ...episodes, recollect: (query) => episodes.recollect({ ...query, exclude }) },
    logger,
    activeModels: () => learned,
  })
  const replayed = new Array<TrialQuestion | null>(questions.length)
  const entries = questions.entries()
  // The lanes share one iterator: each takes the next question when it is done with its last.
  const lane = async () => {
    for (const [index, question] of entries) {
      const options = { learned, retrieval, seed: firstSeed + index, signal }
      replayed[index] = await unlessTooLong(() => replayOne(solver, question, options))
    }
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  return replayed
}

/** A stored question may have become too long, by another judge or less memory; it must not end the night. */
async function unlessTooLong(work: () => Promise<TrialQuestion>): Promise<TrialQuestion | null> {
  try {
    return await work()
  } catch (thrown) {
    if (!hasCode(thrown, 'PROMPT_TOO_LONG') && !hasCode(thrown, 'MEMORY_EXCEEDED')) throw thrown
    return null
  }
}

async function replayOne(
  solver: Solver,
  { tenantId, question, cluster, reference }: ReplayQuestion,
  {
    learned,
    retrieval,
    seed,
    signal,
  }: Pick<ReplayOptions, 'learned' | 'retrieval' | 'signal'> & { readonly seed: number },
): Promise<TrialQuestion> {
  const solution = await solver.solve(
    {
      tenantId,
      question,
      seed,
      strategy: 'auto',
      learn: false,
      explain: false,
      ...(!retrieval && { retrieval: false }),
    },
    { signal },
  )
  const expected = reference === null ? null : solver.answerKeys.keyOf(reference)
  const { reward, confidence, answer, stopped, iterations, evaluations, usage, degraded } = solution
  // Results without retrieval or without one of the models are not comparable, so the replay fails.
  if (degraded.includes('retrieval')) {
    throw new ServiceError(
      'STORE_UNAVAILABLE',
      'replay: expected the episode store to answer, got no episodes',
    )
  }
  if (degraded.includes('weaver')) {
    throw new ServiceError('ARTIFACT_INVALID', 'replay: expected the weaver to return latents, got an error')
  }
  if (learned.rewardModel !== null && degraded.includes('lrm')) {
    throw new ServiceError('ARTIFACT_INVALID', 'replay: expected the reward model to score, got an error')
  }
  return {
    question,
    cluster: cluster ?? question,
    tenantId,
    // What the search has raised.
    reward: (learned.judge ?? null) === null ? reward : (confidence ?? 0) - 1,
    correct: expected === null ? null : answer === expected,
    firstPass: stopped === 'reward' && iterations === 0,
    iterations,
    evaluations,
    generatedTokens: usage.generatedTokens,
  }
}
