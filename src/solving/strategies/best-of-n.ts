/** @file `best-of-n`: the sample with the highest score by the request's selector. */

import type { Evaluation } from '#algorithms'
import type { Outcome, SolveContext } from '../context.ts'
import { sampleOutcome, votedFor } from './majority.ts'
import { scoreSamples } from './score-samples.ts'

/** When there are no scores, because the time is up or no sample has a signal, a majority vote decides. */
export async function bestOfN(context: SolveContext): Promise<Outcome> {
  const { answers, settings } = context
  const samples = await answers.sample(settings.samples)
  const scores = await scoreSamples(context, samples, settings.selector)
  return sampleOutcome(context, samples[scores === null ? votedFor(samples) : bestOf(samples, scores)]!)
}

/**
 * Returns the index of the highest score (ties: the higher reward, then the earliest) among the samples with an answer: a text
 * without one may be likely, and is of no use. Among all when none has an answer.
 */
function bestOf(samples: readonly Evaluation[], scores: readonly number[]): number {
  const indices = [...samples.keys()]
  const answered = indices.filter((index) => samples[index]!.answer.answer !== null)
  const rewardOf = (index: number) => samples[index]!.judgement.reward
  return (answered.length > 0 ? answered : indices).reduce((best, index) => {
    const isHigher = scores[index]! > scores[best]!
    const isTie = scores[index] === scores[best]
    return isHigher || (isTie && rewardOf(index) > rewardOf(best)) ? index : best
  })
}
