/** @file Scores of samples, by which strategies choose among them or weigh their votes. */

import { coeComplex, type Evaluation } from '#algorithms'
import type { Selector } from '#ports'
import type { SolveContext } from '../context.ts'
import { meanSignals } from '../signals.ts'

/**
 * Returns the score of each sample by the selector; the higher, the better. Scores of one selector are compared with each other
 * only. Null when the time is up, or no sample has a score.
 *
 * `judge` and `lrm` fall back, and `degraded` names them: without a fused judge to the reward, whose weights the model profile
 * sets; without a latent reward model to what `confidenceOf` falls back to.
 */
export async function scoreSamples(
  context: SolveContext,
  samples: readonly Evaluation[],
  selector: Selector,
): Promise<readonly number[] | null> {
  switch (selector) {
    case 'reward':
      return samples.map(({ judgement }) => judgement.reward)
    case 'verifier':
      return known(samples.map(({ judgement: { terms } }) => terms['verifier']))
    case 'log-probability':
      return known(samples.map(({ answer }) => meanSignals(answer.signals).logProbability))
    case 'self-certainty':
      return known(samples.map(({ answer }) => meanSignals(answer.signals).selfCertainty))
    case 'lrm':
      return confidenceOf(context, samples)
    case 'judge':
      return judgedProbability(context, samples)
  }
}

/**
 * Returns P(correct) of each sample by the latent reward model, else (`degraded: lrm`) by the verifier. Where neither estimates
 * it, Chain-of-Embedding (CoE-C) ranks the samples, and without thoughts the reward. A sample without a thought counts as wrong.
 * Null when the time is up.
 */
export async function confidenceOf(
  { answers, signal, state }: SolveContext,
  samples: readonly Evaluation[],
): Promise<readonly number[] | null> {
  const confidences = await answers.confidences(samples.map(({ answer }) => answer))
  if (confidences !== null) return confidences.map((confidence) => confidence ?? 0)
  if (signal.aborted) return null
  state.degraded.add('lrm')
  return (
    ofAll(samples, ({ judgement }) => judgement.correctness) ??
    stretched(ofAll(samples, ({ answer }) => answer.thought && coeComplex(answer.thought))) ??
    samples.map(({ judgement }) => judgement.reward)
  )
}

/** Returns P(correct) of each sample by the fused judge, else (`degraded: judge`) 1 + reward, which is in [0, 1] too. */
function judgedProbability(
  { signal, state }: SolveContext,
  samples: readonly Evaluation[],
): readonly number[] | null {
  if (signal.aborted) return null
  const fused = ofAll(samples, ({ judgement }) => judgement.fused ?? null)
  if (fused === null) state.degraded.add('judge')
  return fused ?? samples.map(({ judgement }) => 1 + judgement.reward)
}

/** Returns the scores, the lowest for a sample without one; null when there is none. */
function known(scores: readonly (number | null | undefined)[]): readonly number[] | null {
  const all = scores.map((score) => score ?? Number.NEGATIVE_INFINITY)
  return all.some(Number.isFinite) ? all : null
}

/** Returns the score of every sample; null unless each has a finite one. */
function ofAll(
  samples: readonly Evaluation[],
  scoreOf: (sample: Evaluation) => number | null,
): readonly number[] | null {
  const scores = samples.map(scoreOf)
  return scores.every((score) => score !== null && Number.isFinite(score)) ? (scores as number[]) : null
}

/** Maps scores linearly onto [0, 1], the lowest to 0: a ranking has no scale that beta could be meant for. */
function stretched(scores: readonly number[] | null): readonly number[] | null {
  if (scores === null) return null
  const [low, high] = [Math.min(...scores), Math.max(...scores)]
  return scores.map((score) => (high > low ? (score - low) / (high - low) : 0))
}
