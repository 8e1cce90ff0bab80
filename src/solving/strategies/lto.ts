/**
 * @file `lto`: one of N samples, drawn with probability softmax(P(correct) / beta) under the latent reward model (Latent Thinking
 * Optimization, arXiv 2509.26314, Theorem 1).
 *
 * Deviates: Theorem 1 is about samples of the reference model pi_ref. Where `sampling` leaves tokens out (top-k,
 * top-p, min-p, and in vocabularies of more than 128 tokens the bound of the sampler) or changes logits
 * (temperature other than 1, repetition penalty), pi_ref is the distribution after these rules, and answers that
 * they exclude have probability 0.
 */

import { chooseByReward } from '#algorithms'
import { createRandom } from '#tensor'
import type { Outcome, SolveContext } from '../context.ts'
import { electByVote, sampleOutcome } from './majority.ts'
import { confidenceOf } from './score-samples.ts'

/** A stream of the request's seed that no row samples from. */
const CHOICE_STREAM = 2 ** 32 - 1

/** When the time is up before the samples are scored, a majority vote decides. */
export async function lto(context: SolveContext): Promise<Outcome> {
  const { answers, settings, seed } = context
  const samples = await answers.sample(settings.samples)
  const scores = await confidenceOf(context, samples)
  const chosen =
    scores === null
      ? electByVote(samples)
      : samples[chooseByReward(scores, settings.beta, createRandom(seed, CHOICE_STREAM))]!
  return sampleOutcome(context, chosen)
}
