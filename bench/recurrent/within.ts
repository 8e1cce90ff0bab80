/** @file Order of right before wrong answers to one question, which is what a choice among samples needs, by several scores. */

import { withinQuestionAuc } from '#algorithms'
import type { LatentThought } from '#ports'
import { type Example, labelled } from '../quality/lto/training.ts'
import type { Sample, Sampled } from './samples.ts'
import { estimate } from './thinking.ts'

/** Returns one number per sample of a question; higher means more likely right. */
export type Scorer = (samples: readonly Sample[]) => readonly number[]

/** Scores that need no training. @param steps recurrences of the samples, 2 or more */
export function plainScorers(steps: number): Readonly<Record<string, Scorer>> {
  return {
    convergence: (samples) => samples.map(({ thought }) => -lastChange(thought, steps)),
    verifier: (samples) => samples.map(({ verified }) => verified ?? 0),
    'log-probability': (samples) => samples.map(({ logProbability }) => logProbability ?? 0),
    votes: (samples) =>
      samples.map(({ answer }) => samples.filter((other) => other.answer === answer).length),
  }
}

/** Returns |s_r - s_{r-1}| / |s_{r-1}| of a thought `[R, D]`, r = `steps`. */
function lastChange({ data, width }: LatentThought, steps: number): number {
  const [before, after] = [steps - 2, steps - 1].map((row) => data.subarray(row * width, (row + 1) * width))
  const change = before!.map((value, index) => after![index]! - value)
  return Math.hypot(...change) / Math.hypot(...before!)
}

/**
 * Returns examples whose label is the depth of their question and not their own correctness: all samples of a question
 * have the same. A model that is taught them can know nothing but difficulty.
 */
export function depthExamples(sampled: readonly Sampled[], deepestEasy: number): readonly Example[] {
  return sampled.flatMap(({ problem: { family, question, depth }, samples }) =>
    samples.map(({ thought }) => labelled({ family, question, thought, correct: depth <= deepestEasy })),
  )
}

/** Mean within-question AUC over the questions with right and wrong samples, with its interval over questions. */
export function withinAuc(sampled: readonly Sampled[], scorer: Scorer) {
  const shares = sampled.map(({ samples }) => {
    const scores = scorer(samples)
    return withinQuestionAuc({
      answers: samples.map(({ correct }, index) => ({ score: scores[index]!, correct })),
    })
  })
  return estimate(shares.filter((share) => !Number.isNaN(share)))
}
