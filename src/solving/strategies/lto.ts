/**
 * @file `lto`: one of N samples, drawn by how sure the latent reward model is of each (Latent Thinking Optimization, arXiv
 * 2509.26314, Theorem 1).
 */

import { chooseByReward, coeComplex, type Evaluation, majorityVote } from '#algorithms'
import { createRandom } from '#tensor'
import { embedQuery } from '../embed-query.ts'
import type { Outcome, Run } from '../run.ts'
import { sampleOutcome } from './majority.ts'
import { sampleAnswers } from './sample-answers.ts'

/** A stream of the request's seed that no row samples from. */
const CHOICE_STREAM = 2 ** 32 - 1

/** When the time is up before the samples are scored, they are as good as their number: a majority vote. */
export async function lto(run: Run): Promise<Outcome> {
  const embedding = await embedQuery(run)
  const samples = await sampleAnswers(run, run.settings.samples)
  const scores = await scoresOf(run, samples)
  const chosen =
    scores === null
      ? majorityVote(
          samples.map(({ answer, judgement }) => ({ answer: answer.answer, reward: judgement.reward })),
        )
      : chooseByReward(scores, run.settings.beta, createRandom(run.seed, CHOICE_STREAM))
  return sampleOutcome(run, samples[chosen]!, embedding)
}

/**
 * P(correct) of each sample: the latent reward model's, else (`degraded: lrm`) the verifier's. Where nobody estimates it, the
 * shape of the thought ranks them (CoE-C), and without thoughts the reward. Null when the time is up.
 */
async function scoresOf(run: Run, samples: readonly Evaluation[]): Promise<readonly number[] | null> {
  const answers = samples.map(({ answer }) => answer)
  const confidences = await run.meter.time('rewardMs', () => run.confidences.of(answers))
  // A sample without a thought has nobody to vouch for it.
  if (confidences !== null) return confidences.map((confidence) => confidence ?? 0)
  if (run.signal.aborted) return null
  run.degraded.add('lrm')
  return (
    ofAll(samples, ({ judgement }) => judgement.correctness) ??
    stretched(ofAll(samples, ({ answer }) => answer.thought && coeComplex(answer.thought))) ??
    samples.map(({ judgement }) => judgement.reward)
  )
}

/** Null unless every sample has one. */
function ofAll(
  samples: readonly Evaluation[],
  scoreOf: (sample: Evaluation) => number | null,
): readonly number[] | null {
  const scores = samples.map(scoreOf)
  return scores.every((score) => score !== null && Number.isFinite(score)) ? (scores as number[]) : null
}

/** Onto [0, 1], the worst to the best: what only ranks has no scale that beta could know. */
function stretched(scores: readonly number[] | null): readonly number[] | null {
  if (scores === null) return null
  const [low, high] = [Math.min(...scores), Math.max(...scores)]
  return scores.map((score) => (high > low ? (score - low) / (high - low) : 0))
}
