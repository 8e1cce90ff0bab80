/**
 * @file Labelled thoughts whose labels a linear probe cannot predict, and options of a reward model for
 * tests.
 */

import type { LabelledThought, RewardModelOptions } from '#algorithms'
import { createRandom } from '#tensor'
import { placed } from './placed.ts'

export const LAYERS = 3
export const WIDTH = 6

export const SMALL: Partial<RewardModelOptions> = {
  hidden: 16,
  heads: 2,
  feedForward: 32,
  members: 2,
  epochs: 12,
  batch: 64,
  lr: 1e-2,
  dropout: 0.05,
}

/**
 * Returns thoughts that are right exactly when two features of the last layer have the same sign (XOR for a
 * probe).
 */
export function syntheticThoughts(questions: number, answersEach: number, seed = 1): LabelledThought[] {
  const random = createRandom(seed)
  return Array.from({ length: questions * answersEach }, (_, index) => {
    const data = Float32Array.from({ length: LAYERS * WIDTH }, () => random.gaussian())
    const last = (LAYERS - 1) * WIDTH
    const [a, b] = [random.uniform() < 0.5, random.uniform() < 0.5]
    data[last] = (a ? 40 : -40) + 5 * random.gaussian()
    data[last + 1] = (b ? 0.1 : -0.1) + 0.02 * random.gaussian()
    return {
      thought: { data, layers: LAYERS, width: WIDTH },
      correct: a === b,
      weight: 1,
      ...placed(`question ${index % questions}`, index % questions),
      source: 'reference',
    }
  })
}
