/** @file `majority`: the answer most samples agree on (self-consistency; a baseline of LTO, arXiv 2509.26314). */

import { type Evaluation, majorityVote } from '#algorithms'
import { embedQuery } from '../embed-query.ts'
import type { Outcome, Run } from '../run.ts'
import { sampleAnswers, stoppedAfterSamples } from './sample-answers.ts'

export async function majority(run: Run): Promise<Outcome> {
  const embedding = await embedQuery(run)
  const samples = await sampleAnswers(run, run.settings.samples)
  const votes = samples.map(({ answer, judgement }) => ({ answer: answer.answer, reward: judgement.reward }))
  return sampleOutcome(run, samples[majorityVote(votes)]!, embedding)
}

/** Of a strategy that chooses among samples. Sampled tokens are not what their latents decode to: none are kept. */
export function sampleOutcome(run: Run, chosen: Evaluation, embedding: Float32Array | null): Outcome {
  return {
    chosen,
    embedding,
    base: null,
    stopped: stoppedAfterSamples(run, chosen),
    iterations: 0,
    evaluations: run.candidates.length,
    rewardHistory: [chosen.judgement.reward],
    retrieved: [],
    latents: null,
    trajectory: [],
  }
}
