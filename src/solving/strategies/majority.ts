/** @file `majority`: the answer that most samples agree on (self-consistency; a baseline of LTO, arXiv 2509.26314). */

import { type Evaluation, majorityVote } from '#algorithms'
import type { Outcome, SolveContext } from '../context.ts'
import type { Stopped } from '../contract.ts'

export async function majority(context: SolveContext): Promise<Outcome> {
  const samples = await context.answers.sample(context.settings.samples)
  return sampleOutcome(context, samples[votedFor(samples)]!)
}

/** Index of the sample that the majority elects; ties go to the higher reward. */
export function votedFor(samples: readonly Evaluation[]): number {
  return majorityVote(
    samples.map(({ answer, judgement }) => ({ answer: answer.answer, reward: judgement.reward })),
  )
}

/** The outcome of a strategy that chooses among samples. Sampled tokens are not what their latents decode to: none are kept. */
export function sampleOutcome({ signal, state }: SolveContext, chosen: Evaluation): Outcome {
  return {
    chosen,
    base: null,
    stopped: stoppedAfterSamples(signal, chosen),
    iterations: 0,
    evaluations: state.candidates.length,
    rewardHistory: [chosen.judgement.reward],
    latents: null,
    trajectory: [],
  }
}

function stoppedAfterSamples(signal: AbortSignal, { answer }: Evaluation): Stopped {
  if (signal.aborted) return 'maxMs'
  return answer.finish === 'length' ? 'maxNewTokens' : 'single'
}
