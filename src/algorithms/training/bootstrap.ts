/** @file 95 % intervals of statistics over answers, by resampling questions. */

import { createRandom } from '#tensor'
import type { Figure } from './training-result.ts'

/** Statistic of a list of answers in which answer i counts `weights[i]` times; NaN where it is undefined. */
export type Statistic = (weights: Float64Array) => number

export interface BootstrapOptions {
  /** Seed of the resampling; 0 unless given. */
  readonly seed?: number
  /** Number of resamples; 1,000 unless given. */
  readonly resamples?: number
}

/** Below this many questions there is no interval: fewer do not show how questions vary. */
export const MIN_QUESTIONS_FOR_INTERVAL = 10

/**
 * Returns the value of a statistic and its 95 % percentile interval by cluster bootstrap: whole questions
 * are drawn with replacement (Field & Welsh 2007), since answers to one question share its difficulty and
 * are not independent. There is no interval for fewer than ten questions, or when the statistic is undefined
 * on more than half of the resamples.
 *
 * @param questions question of each answer, in the order of the statistic's weights.
 */
export function bootstrapByQuestion(
  questions: readonly string[],
  statistic: Statistic,
  { seed = 0, resamples = 1000 }: BootstrapOptions = {},
): Figure {
  const clusters = [...Map.groupBy(questions.keys(), (index) => questions[index]!).values()]
  const figure = { value: statistic(new Float64Array(questions.length).fill(1)), n: questions.length }
  if (clusters.length < MIN_QUESTIONS_FOR_INTERVAL) return figure
  const random = createRandom(seed)
  const weights = new Float64Array(questions.length)
  const drawn: number[] = []
  for (let resample = 0; resample < resamples; resample++) {
    weights.fill(0)
    for (let draw = 0; draw < clusters.length; draw++) {
      for (const index of clusters[Math.floor(random.uniform() * clusters.length)]!) weights[index]!++
    }
    const value = statistic(weights)
    if (!Number.isNaN(value)) drawn.push(value)
  }
  if (drawn.length < resamples / 2) return figure
  drawn.sort((a, b) => a - b)
  const quantile = (share: number) => drawn[Math.round(share * (drawn.length - 1))]!
  return { ...figure, low: quantile(0.025), high: quantile(0.975) }
}
