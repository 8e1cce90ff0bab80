/** @file The LatentSeek search of a request, from wherever its strategy starts it. */

import {
  type AnswerMemo,
  createAnswerMemo,
  dropLatents,
  type Evaluation,
  joinLatents,
  type SearchPoint,
  type SeekStop,
  seekLatents,
  takeLatents,
} from '#algorithms'
import type { LatentHead, Latents } from '#ports'
import { type Tracer, updatesAttribute } from '#tracing'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext, TrajectoryPoint } from '../context.ts'
import type { Stopped } from '../contract.ts'

/** The draft as the search sees it: `length` latents from position `start` on, and the tokens they decode to. */
export function draftPoint({ evaluation, latents }: Draft, length: number, start = 0): SearchPoint {
  const moved = takeLatents(dropLatents(latents, start), length)
  const prefix = evaluation.answer.tokens.slice(start, start + moved.length)
  return { evaluation, latents: moved, prefix, step: 0 }
}

/**
 * A memo that completes and judges every prefix but that of `first`, which it knows.
 *
 * @param before tokens of the answer before the moved latents
 */
export function createMemo(
  { eosTokenIds, answers }: SolveContext,
  first: SearchPoint | null,
  before: readonly number[] = [],
): AnswerMemo {
  const memo = createAnswerMemo({
    eosTokenIds,
    complete: (prefixes) => answers.complete(prefixes.map((prefix) => [...before, ...prefix])),
  })
  if (first !== null) memo.remember(first.prefix, first.evaluation)
  return memo
}

export interface RefineTask {
  /** The judged draft; null when another answer passed before the draft was finished. */
  readonly base: Evaluation | null
  readonly draftLatents: Latents
  readonly memo: AnswerMemo
  /** Points before the first update, the draft's first if it is judged; the search starts from the last. */
  readonly known: readonly SearchPoint[]
  readonly best: SearchPoint
  /** Tokens of the draft before the moved latents, which stay; none unless given. */
  readonly before?: readonly number[]
  /** Ids of the episodes whose latents moved the start; none unless given. */
  readonly movedBy?: readonly string[]
}

const STOPPED: Readonly<Record<SeekStop, Stopped>> = {
  reward: 'reward',
  maxIterations: 'maxIterations',
  noImprovement: 'noImprovement',
  exhausted: 'maxNewTokens',
  aborted: 'maxMs',
}

/** Searches within the request's budgets, emits every update as `iteration`, and selects the latents that the episode keeps. */
export async function refine(context: SolveContext, task: RefineTask): Promise<Outcome> {
  const { base, memo, known, best, movedBy = [] } = task
  const { settings, seed, signal, emit, answers, head, eosTokenIds, state, tracer } = context
  const trajectory = known.map(trajectoryPoint)
  return state.meter.time('optimizeMs', async () => {
    const result = await seekLatents(
      {
        memo,
        best,
        start: known.at(-1)!,
        head: withSteps(head, tracer),
        eosTokenIds,
        isExhausted: () => answers.isExhausted(1),
        onUpdate({ step, found, changed }) {
          if (changed) trajectory.push(trajectoryPoint(found))
          const { answer, judgement } = found.evaluation
          emit({
            event: 'iteration',
            data: { step, changed, reward: judgement.reward, answer: answer.answer },
          })
        },
      },
      // Sampled tokens are pushed at the temperature they were sampled at; argmax tokens have none.
      { ...settings, temperature: settings.rollouts > 1 ? settings.rolloutTemperature : 1, seed },
      signal,
    )
    return {
      chosen: result.best.evaluation,
      base,
      stopped: STOPPED[result.stopped],
      iterations: result.iterations,
      evaluations: memo.evaluations,
      rewardHistory: result.rewardHistory,
      latents: await latentsToKeep(context, task, result.best),
      trajectory,
      ancestors: result.best.evaluation === base ? [] : movedBy,
    }
  })
}

/** Latents that moved behind the positions of an episode would leave it those of the draft, and another answer. */
async function latentsToKeep(
  { memory, settings }: SolveContext,
  { base, draftLatents, before = [] }: RefineTask,
  best: SearchPoint,
): Promise<Outcome['latents']> {
  const isDraft = best.evaluation === base
  if (before.length === 0 || isDraft) return memory.latentsToKeep(draftLatents, best, isDraft)
  if (before.length >= settings.latents) return null
  const latents = joinLatents(takeLatents(draftLatents, before.length), best.latents)
  return memory.latentsToKeep(draftLatents, { ...best, latents, prefix: [...before, ...best.prefix] }, false)
}

/** The head, with a span for each run of updates. */
function withSteps(head: LatentHead, tracer: Tracer): LatentHead {
  return {
    ...head,
    ascend: (request, signal) =>
      tracer.trace('step', {}, async (span) => {
        const moved = await head.ascend(request, signal)
        span.set(updatesAttribute(moved.steps))
        return moved
      }),
  }
}

function trajectoryPoint({ step, latents, evaluation }: SearchPoint): TrajectoryPoint {
  return { step, latents, evaluation }
}
