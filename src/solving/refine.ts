/** @file LatentSeek on the latents of a draft, from wherever the strategy lets it start. */

import {
  type AnswerMemo,
  createAnswerMemo,
  type SearchPoint,
  type SeekStop,
  seekLatents,
  takeLatents,
} from '#algorithms'
import type { Draft, UnfinishedDraft } from './draft.ts'
import { latentsToKeep } from './latents-to-keep.ts'
import { regenerate } from './regenerate.ts'
import { type Outcome, outOfTokens, type Run, type TrajectoryPoint } from './run.ts'
import type { Stopped } from './types.ts'

/** The draft as the search sees it: its first `length` latents and the tokens they decode to. */
export function draftPoint({ evaluation, latents }: Draft, length: number): SearchPoint {
  const kept = takeLatents(latents, length)
  return { evaluation, latents: kept, prefix: evaluation.answer.tokens.slice(0, kept.length), step: 0 }
}

/** Knows the draft, if it is there, and completes and judges everything else. */
export function createMemo(run: Run, first: SearchPoint | null): AnswerMemo {
  const memo = createAnswerMemo({
    eosTokenIds: run.engine.eosTokenIds,
    complete: (prefixes) => regenerate(run, prefixes),
  })
  if (first !== null) memo.remember(first.prefix, first.evaluation)
  return memo
}

export interface Refinement {
  readonly draft: Draft | UnfinishedDraft
  readonly memo: AnswerMemo
  /** Answers before the first update, the draft first if there is one; the search starts from the last and keeps the best. */
  readonly known: readonly SearchPoint[]
  readonly best: SearchPoint
  readonly embedding: Float32Array | null
  readonly retrieved: Outcome['retrieved']
}

const STOPPED: Readonly<Record<SeekStop, Stopped>> = {
  reward: 'reward',
  maxIterations: 'maxIterations',
  noImprovement: 'noImprovement',
  exhausted: 'maxNewTokens',
  aborted: 'maxMs',
}

/** Searches within the request's budgets, tells every update as it happens, and keeps what an episode should remember. */
export async function refine(run: Run, task: Refinement): Promise<Outcome> {
  const { draft, memo, known, best } = task
  const trajectory = known.map(asPoint)
  return run.meter.time('optimizeMs', async () => {
    const result = await seekLatents(
      {
        memo,
        best,
        start: known.at(-1)!,
        head: run.engine.head,
        eosTokenIds: run.engine.eosTokenIds,
        isExhausted: () => outOfTokens(run),
        onUpdate({ step, found, changed }) {
          if (changed) trajectory.push(asPoint(found))
          const { answer, judgement } = found.evaluation
          run.emit({
            event: 'iteration',
            data: { step, changed, reward: judgement.reward, answer: answer.answer },
          })
        },
      },
      // What is sampled at a temperature is pushed at it; argmax tokens have none.
      {
        ...run.settings,
        temperature: run.settings.rollouts > 1 ? run.settings.rolloutTemperature : 1,
        seed: run.seed,
      },
      run.signal,
    )
    return {
      chosen: result.best.evaluation,
      base: draft.evaluation,
      stopped: STOPPED[result.stopped],
      iterations: result.iterations,
      evaluations: memo.evaluations,
      rewardHistory: result.rewardHistory,
      retrieved: task.retrieved,
      embedding: task.embedding,
      latents: await latentsToKeep(run, draft, result.best),
      trajectory,
    }
  })
}

function asPoint({ step, latents, evaluation }: SearchPoint): TrajectoryPoint {
  return { step, latents, reward: evaluation.judgement.reward }
}
