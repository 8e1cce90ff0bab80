/**
 * @file `majority`: the answer that most samples agree on (self-consistency), each vote weighed by P(correct) where the request
 * asks for it (both are baselines of LTO, arXiv 2509.26314, section 5).
 */

import { type Evaluation, weightedMajority } from '#algorithms'
import type { Outcome, SolveContext } from '../context.ts'
import type { Stopped } from '../contract.ts'
import { scoreSamples } from './score-samples.ts'

export async function majority(context: SolveContext): Promise<Outcome> {
  const samples = await context.answers.sample(context.settings.samples)
  return sampleOutcome(context, await elect(context, samples))
}

/** Returns the sample that the majority elects, by the votes that the request asks for. */
export async function elect(context: SolveContext, samples: readonly Evaluation[]): Promise<Evaluation> {
  const { votes } = context.settings
  return electByVote(samples, votes === 'none' ? null : await scoreSamples(context, samples, votes))
}

/** Returns the sample that the majority elects, by votes of equal weight unless given; ties go to the higher reward. */
export function electByVote(
  samples: readonly Evaluation[],
  weights: readonly number[] | null = null,
): Evaluation {
  const elected = weightedMajority(
    samples.map(({ answer, judgement }, index) => ({
      answer: answer.answer,
      reward: judgement.reward,
      // Where only the reward ranks the samples, it is below 0.
      weight: Math.max(0, weights?.[index] ?? 1),
    })),
  )
  return samples[elected]!
}

/** The outcome of a strategy that chooses among samples. Sampled tokens are not what their latents decode to: none are kept. */
export function sampleOutcome({ signal, state }: SolveContext, chosen: Evaluation): Outcome {
  return {
    chosen,
    base: null,
    stopped: stoppedAfterSamples(signal, chosen),
    iterations: 0,
    evaluations: state.candidates.filter(({ kind }) => kind !== 'draft').length,
    rewardHistory: [chosen.judgement.reward],
    latents: null,
    trajectory: [],
  }
}

function stoppedAfterSamples(signal: AbortSignal, { answer }: Evaluation): Stopped {
  if (signal.aborted) return 'maxMs'
  return answer.finish === 'length' ? 'maxNewTokens' : 'single'
}
