/** @file The outcome of a request in the terms of the HTTP contract. */

import { type Answer, worthOf } from '#algorithms'
import { writtenText } from './answer-text.ts'
import type { Attempt, SolverParts } from './attempt.ts'
import type { Solution } from './contract.ts'
import { projectLatents } from './project-latents.ts'
import { describeCandidate } from './solve-state.ts'

const FINISHES = { eos: 'end', length: 'length', aborted: 'time' } as const satisfies Record<
  Answer['finish'],
  Solution['finish']
>

export interface Ending {
  readonly id: string
  readonly episodeId: string | null
  readonly totalMs: number
}

export async function describeSolution(
  { engine: { model, codec }, answerFormat }: Pick<SolverParts, 'engine' | 'answerFormat'>,
  attempt: Attempt,
  ending: Ending,
): Promise<Solution> {
  const { request, outcome, models, state } = attempt
  const { chosen, base } = outcome
  const { meter } = state
  const reward = chosen?.judgement.reward ?? -1
  return {
    id: ending.id,
    episodeId: ending.episodeId,
    answer: chosen?.answer.answer ?? null,
    reasoning: answerFormat.split(chosen?.answer.text ?? '').reasoning,
    ...writtenText(chosen?.answer.text ?? '', codec),
    finish: chosen && FINISHES[chosen.answer.finish],
    reward,
    confidence: attempt.confidence,
    stopped: outcome.stopped,
    strategy: request.strategy,
    base: base && { answer: base.answer.answer, reward: base.judgement.reward },
    improved: base !== null && chosen !== null && worthOf(chosen.judgement) > worthOf(base.judgement),
    iterations: outcome.iterations,
    evaluations: outcome.evaluations,
    rewardHistory: outcome.rewardHistory,
    retrieved: state.retrieved,
    model: {
      id: model.id,
      fingerprint: model.fingerprint,
      weaverVersion: models.weaver.version,
      lrmVersion: models.rewardModel?.version ?? null,
      judgeVersion: models.judge?.version ?? null,
    },
    seed: attempt.seed,
    usage: {
      promptTokens: attempt.promptTokens,
      cachedTokens: Math.min(meter.cachedTokens, attempt.promptTokens),
      completionTokens: chosen?.answer.tokens.length ?? 0,
      generatedTokens: meter.generatedTokens,
      rewardTokens: meter.rewardTokens,
      ...(meter.recurrences !== null && { recurrences: meter.recurrences }),
    },
    timings: {
      queueMs: inMilliseconds(meter.timings.queueMs),
      retrieveMs: inMilliseconds(meter.timings.retrieveMs),
      draftMs: inMilliseconds(meter.timings.draftMs),
      optimizeMs: inMilliseconds(meter.timings.optimizeMs),
      rewardMs: inMilliseconds(meter.timings.rewardMs),
      totalMs: inMilliseconds(ending.totalMs),
    },
    degraded: [...state.degraded],
    ...refutation(attempt),
    ...(outcome.policy && {
      policy: {
        strategy: outcome.policy.band.strategy,
        from: outcome.policy.band.from,
        signal: outcome.policy.signal,
        confidence: outcome.policy.confidence,
      },
    }),
    ...(request.explain && (await explanation(attempt))),
  }
}

/** Tells that callers called the answer wrong before, and that no other was found. */
function refutation({ outcome: { chosen }, refuted }: Attempt): Pick<Solution, 'refutedBy'> {
  const answer = chosen?.answer.answer ?? null
  const episodeId = answer === null ? undefined : refuted.get(answer)
  return episodeId === undefined ? {} : { refutedBy: episodeId }
}

async function explanation({ state, outcome: { trajectory } }: Attempt) {
  const places = await projectLatents(trajectory.map(({ latents }) => latents.data))
  return {
    candidates: state.candidates.map(describeCandidate),
    latents: trajectory.map(({ step, evaluation: { answer, judgement } }, index) => ({
      step,
      reward: judgement.reward,
      answer: answer.answer,
      text: answer.text,
      ...places[index]!,
    })),
  }
}

function inMilliseconds(value: number): number {
  return Math.max(0, Math.round(value * 100) / 100)
}
