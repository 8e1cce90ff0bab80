/**
 * @file `lto`: one of N samples, drawn with probability softmax(P(correct) / beta) under the latent reward model (Latent Thinking
 * Optimization, arXiv 2509.26314, Theorem 1).
 *
 * Deviates: Theorem 1 is about samples of the reference model pi_ref. Where `sampling` leaves tokens out (top-k,
 * top-p, min-p, and in vocabularies of more than 128 tokens the bound of the sampler) or changes logits
 * (temperature other than 1, repetition penalty), pi_ref is the distribution after these rules, and answers that
 * they exclude have probability 0.
 */

import { chooseByReward, coeComplex, type Evaluation } from '#algorithms'
import { createRandom } from '#tensor'
import type { Outcome, SolveContext } from '../context.ts'
import { sampleOutcome, votedFor } from './majority.ts'

/** A stream of the request's seed that no row samples from. */
const CHOICE_STREAM = 2 ** 32 - 1

/** When the time is up before the samples are scored, a majority vote decides. */
export async function lto(context: SolveContext): Promise<Outcome> {
  const { answers, settings, seed } = context
  const samples = await answers.sample(settings.samples)
  const scores = await scoreSamples(context, samples)
  const chosen =
    scores === null
      ? votedFor(samples)
      : chooseByReward(scores, settings.beta, createRandom(seed, CHOICE_STREAM))
  return sampleOutcome(context, samples[chosen]!)
}

/**
 * Returns P(correct) of each sample: the latent reward model's, else (`degraded: lrm`) the verifier's. Where neither estimates it,
 * Chain-of-Embedding (CoE-C) ranks the samples, and without thoughts the reward. Null when the time is up.
 */
async function scoreSamples(
  { answers, signal, state }: SolveContext,
  samples: readonly Evaluation[],
): Promise<readonly number[] | null> {
  const confidences = await answers.confidences(samples.map(({ answer }) => answer))
  // A sample without a thought counts as wrong.
  if (confidences !== null) return confidences.map((confidence) => confidence ?? 0)
  if (signal.aborted) return null
  state.degraded.add('lrm')
  return (
    ofAll(samples, ({ judgement }) => judgement.correctness) ??
    stretched(ofAll(samples, ({ answer }) => answer.thought && coeComplex(answer.thought))) ??
    samples.map(({ judgement }) => judgement.reward)
  )
}

/** The score of every sample; null unless each has a finite one. */
function ofAll(
  samples: readonly Evaluation[],
  scoreOf: (sample: Evaluation) => number | null,
): readonly number[] | null {
  const scores = samples.map(scoreOf)
  return scores.every((score) => score !== null && Number.isFinite(score)) ? (scores as number[]) : null
}

/** Scores mapped linearly onto [0, 1], the lowest to 0: a ranking has no scale that beta could be meant for. */
function stretched(scores: readonly number[] | null): readonly number[] | null {
  if (scores === null) return null
  const [low, high] = [Math.min(...scores), Math.max(...scores)]
  return scores.map((score) => (high > low ? (score - low) / (high - low) : 0))
}
