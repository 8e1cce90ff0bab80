/**
 * @file `majority`: the answer that most samples agree on (self-consistency), each vote weighed by P(correct) where the request
 * asks for it (both are baselines of LTO, arXiv 2509.26314, section 5).
 */

import { type Evaluation, weightedMajority } from '#algorithms'
import type { Selector } from '#ports'
import type { Outcome, SolveContext } from '../context.ts'
import type { Stopped } from '../contract.ts'
import { scoreSamples } from './score-samples.ts'

export async function majority(context: SolveContext): Promise<Outcome> {
  const samples = await context.answers.sample(context.settings.samples)
  return sampleOutcome(context, await elect(context, samples))
}

/**
 * Returns the sample that the majority elects, by the votes that the request asks for.
 *
 * @param ties score that decides between answers of as many votes; the reward where no sample has it
 */
export async function elect(
  context: SolveContext,
  samples: readonly Evaluation[],
  ties: Selector = context.settings.ties,
): Promise<Evaluation> {
  const { votes } = context.settings
  return electByVote(samples, {
    weights: votes === 'none' ? null : await scoreSamples(context, samples, votes),
    ties: await scoreSamples(context, samples, ties),
  })
}

/** What samples are compared by; null: votes of equal weight, ties by reward. */
interface Scores {
  readonly weights: readonly number[] | null
  readonly ties: readonly number[] | null
}

/** Returns the sample that the majority elects. */
export function electByVote(
  samples: readonly Evaluation[],
  { weights, ties }: Scores = { weights: null, ties: null },
): Evaluation {
  const elected = weightedMajority(
    samples.map(({ answer, judgement }, index) => ({
      answer: answer.answer,
      reward: ties?.[index] ?? judgement.reward,
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
