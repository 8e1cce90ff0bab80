/** @file Reward models trained by the product's trainer on answers that the bench chooses. */

import { auc, type LabelledThought, openRewardModel, trainRewardModel } from '#algorithms'
import type { GraphRunner, LatentThought } from '#ports'
import type { Sampled } from './draws.ts'
import { splitQuestions } from './split-questions.ts'

/** Labelled answer that has no part yet. */
type Labelled = Omit<LabelledThought, 'part' | 'cluster'>

/** Labelled answer with the family of its problem. */
export interface Example extends Labelled {
  readonly family: string
}

export function examplesOf(sampled: readonly Sampled[]): readonly Example[] {
  return sampled.flatMap(({ problem: { family, question }, samples }) =>
    samples.map(({ thought, correct }) => labelled({ family, question, thought, correct })),
  )
}

/** Adds what a label by a reference has. */
export function labelled(example: Omit<Example, 'weight' | 'source'>): Example {
  return { ...example, weight: 1, source: 'reference' }
}

/** The first `layers` states of a thought. */
export function cutThought({ data, width }: LatentThought, layers: number): LatentThought {
  return { data: data.subarray(0, layers * width), layers, width }
}

export interface TrainedOn {
  /** AUC of the model on questions of the training split that training left out. */
  readonly auc: number
  /** AUC of the linear probe on the same questions. */
  readonly linearAuc: number
  /** Returns P(correct) of answers that were not trained on. */
  score(thoughts: readonly LatentThought[]): Promise<readonly number[]>
  close(): Promise<void>
}

/** Trains and opens a model. @returns the reason as text when there are too few examples */
export async function trainOn(
  runner: GraphRunner,
  examples: readonly Labelled[],
  seed: number,
): Promise<TrainedOn | string> {
  const { signal } = new AbortController()
  const parts = splitQuestions(examples.map(({ question }) => question))
  if (parts === null) return 'too few questions'
  const placed = (part: keyof typeof parts) =>
    parts[part].map((index) => ({ ...examples[index]!, part, cluster: examples[index]!.question }))
  const all = [...placed('train'), ...placed('calibration'), ...placed('heldOut')]
  const training = await trainRewardModel(runner, all, { seed, signal })
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

/** AUC on answers that were not trained on, with its 95 % interval over questions. */
export async function aucOn(trained: TrainedOn, examples: readonly Labelled[]) {
  const scores = await trained.score(examples.map(({ thought }) => thought))
  return auc(
    examples.map(({ question, correct }, index) => ({ question, correct, score: scores[index]! })),
    { resamples: 200 },
  )
}
