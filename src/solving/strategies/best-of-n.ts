/** @file `best-of-n`: the sample with the highest score by the request's selector. */

import { bestOfN as bestScored, type Evaluation } from '#algorithms'
import type { Outcome, SolveContext } from '../context.ts'
import { sampleOutcome, votedFor } from './majority.ts'
import { scoreSamples } from './score-samples.ts'

/**
 * When there are no scores, because the time is up or no sample has a signal, a majority vote decides.
 *
 * @param draft a candidate beside the samples; none unless given
 */
export async function bestOfN(context: SolveContext, draft?: Evaluation): Promise<Outcome> {
  const { answers, settings } = context
  const samples = await answers.sample(settings.samples, draft)
  const scores = await scoreSamples(context, samples, settings.selector)
  const chosen =
    scores === null
      ? votedFor(samples)
      : bestScored(
          samples.map(({ answer: { answer }, judgement: { reward } }, index) => ({
            answer,
            reward,
            score: scores[index]!,
          })),
        )
  return sampleOutcome(context, samples[chosen]!)
}
