/** @file `best-of-n`: the sample with the highest score by the request's selector. */

import { bestOfN as bestScored, type Evaluation } from '#algorithms'
import type { Selector } from '#ports'
import type { Outcome, SolveContext } from '../context.ts'
import { electByVote, sampleOutcome } from './majority.ts'
import { scoreSamples } from './score-samples.ts'

export async function bestOfN(context: SolveContext): Promise<Outcome> {
  const { answers, settings } = context
  const samples = await answers.sample(settings.samples)
  return sampleOutcome(context, await chooseBest(context, samples, settings.selector))
}

/** When there are no scores, because the time is up or no sample has a signal, a majority vote decides. */
export async function chooseBest(
  context: SolveContext,
  samples: readonly Evaluation[],
  selector: Selector,
): Promise<Evaluation> {
  const scores = await scoreSamples(context, samples, selector)
  if (scores === null) return electByVote(samples)
  const chosen = bestScored(
    samples.map(({ answer: { answer }, judgement: { reward } }, index) => ({
      answer,
      reward,
      score: scores[index]!,
    })),
  )
  return samples[chosen]!
}
