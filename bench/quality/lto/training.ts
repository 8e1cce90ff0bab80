/** @file Latent reward models of the bench's own making: the product's trainer, on answers that the bench chose. */

import { auc, type LabelledThought, openRewardModel, trainRewardModel } from '#algorithms'
import type { GraphRunner, LatentThought } from '#ports'
import type { Sampled } from './draws.ts'

/** An answer whose truth is known. */
export interface Example extends LabelledThought {
  readonly family: string
}

export function examplesOf(sampled: readonly Sampled[]): readonly Example[] {
  return sampled.flatMap(({ problem: { family, question }, samples }) =>
    samples.map(({ thought, correct }) => ({ family, question, thought, correct, weight: 1, trusted: true })),
  )
}

/** The first `layers` states of a thought. */
export function cutThought({ data, width }: LatentThought, layers: number): LatentThought {
  return { data: data.subarray(0, layers * width), layers, width }
}

export interface TrainedOn {
  /** Of the model and of the linear probe beside it, on questions of the training split that training never saw. */
  readonly auc: number
  readonly linearAuc: number
  /** P(correct) of other answers. */
  score(thoughts: readonly LatentThought[]): Promise<readonly number[]>
  close(): Promise<void>
}

/** @returns why not, in words, when there is too little to learn from. */
export async function trainOn(
  runner: GraphRunner,
  examples: readonly LabelledThought[],
  seed: number,
): Promise<TrainedOn | string> {
  const { signal } = new AbortController()
  const training = await trainRewardModel(runner, examples, { seed, signal })
  if ('skipped' in training) return training.skipped
  const { model, features, metrics } = training.trained
  const opened = await openRewardModel(runner, model, { version: 'bench', ...features })
  return {
    auc: metrics['auc']!.value,
    linearAuc: metrics['linear.auc']!.value,
    score: opened.score,
    close: opened.close,
  }
}

/** AUC on other answers; with its 95 % interval over questions. */
export async function aucOn(trained: TrainedOn, examples: readonly LabelledThought[]) {
  const scores = await trained.score(examples.map(({ thought }) => thought))
  return auc(
    examples.map(({ question, correct }, index) => ({ question, correct, score: scores[index]! })),
    { resamples: 200 },
  )
}
