/** @file An outcome in the words of the HTTP contract. */

import { describeCandidate } from './judge-answers.ts'
import { projectLatents } from './project-latents.ts'
import type { Outcome, RunRecord } from './run.ts'
import type { Solution } from './types.ts'

export interface Ending {
  readonly id: string
  readonly episodeId: string | null
  readonly confidence: number | null
  readonly totalMs: number
}

export function describeSolution(run: RunRecord, outcome: Outcome, ending: Ending): Solution {
  const { request, engine, meter } = run
  const { chosen, base } = outcome
  const reward = chosen?.judgement.reward ?? -1
  return {
    id: ending.id,
    episodeId: ending.episodeId,
    answer: chosen?.answer.answer ?? null,
    reasoning: chosen?.answer.text ?? '',
    reward,
    confidence: ending.confidence,
    stopped: outcome.stopped,
    strategy: request.strategy,
    base: base && { answer: base.answer.answer, reward: base.judgement.reward },
    improved: base !== null && reward > base.judgement.reward,
    iterations: outcome.iterations,
    evaluations: outcome.evaluations,
    rewardHistory: outcome.rewardHistory,
    retrieved: outcome.retrieved,
    model: {
      id: engine.model.id,
      fingerprint: engine.model.fingerprint,
      weaverVersion: run.weaver.version,
      lrmVersion: run.rewardModel?.version ?? null,
    },
    seed: run.seed,
    usage: {
      promptTokens: run.promptTokens,
      completionTokens: chosen?.answer.tokens.length ?? 0,
      generatedTokens: meter.generatedTokens,
      rewardTokens: meter.rewardTokens,
    },
    timings: {
      queueMs: inMilliseconds(meter.timings.queueMs),
      retrieveMs: inMilliseconds(meter.timings.retrieveMs),
      draftMs: inMilliseconds(meter.timings.draftMs),
      optimizeMs: inMilliseconds(meter.timings.optimizeMs),
      rewardMs: inMilliseconds(meter.timings.rewardMs),
      totalMs: inMilliseconds(ending.totalMs),
    },
    degraded: [...run.degraded],
    ...(request.explain && explanation(run, outcome)),
  }
}

function explanation(run: RunRecord, { trajectory }: Outcome) {
  const places = projectLatents(trajectory.map(({ latents }) => latents.data))
  return {
    candidates: run.candidates.map(describeCandidate),
    latents: trajectory.map(({ step, reward }, index) => ({ step, reward, ...places[index]! })),
  }
}

function inMilliseconds(value: number): number {
  return Math.max(0, Math.round(value * 100) / 100)
}
