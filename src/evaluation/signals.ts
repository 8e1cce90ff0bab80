/** @file How well each signal of an answer orders the samples of one question, right before wrong. */

import { bootstrapByQuestion, type Figure, withinQuestionAuc } from '#algorithms'
import { SCORES, samplesOf, withScores } from './derived-arms.ts'
import type { AnswerRecord } from './records.ts'

export interface SignalReport {
  /** Arm whose samples were kept. */
  readonly arm: string
  readonly signal: string
  /** Number of answers whose samples are not all right or all wrong. */
  readonly mixed: number
  /** Mean within-question AUC over those answers; its interval by bootstrap over problems. .5 is chance. */
  readonly withinAuc: Figure
}

/**
 * Returns a row for every arm that keeps its samples and every signal that some sample of each answer has. Samples without the
 * signal come last, as in the choice of a sample.
 */
export function reportSignals(records: readonly AnswerRecord[]): readonly SignalReport[] {
  const byArm = Map.groupBy(records, ({ arm }) => arm)
  return [...byArm].flatMap(([arm, own]) => {
    const mixed = own
      .map((record) => ({ problem: record.problem, samples: samplesOf(record) }))
      .filter(({ samples }) => new Set(samples.map(({ right }) => right)).size === 2)
    if (mixed.length === 0) return []
    return Object.entries(SCORES).flatMap(([signal, scoreOf]) => {
      const areas = mixed.map(({ samples }) => {
        const scored = withScores(samples, scoreOf)
        return scored && withinQuestionAuc({ answers: scored.map((one) => ({ ...one, correct: one.right })) })
      })
      if (areas.includes(null)) return []
      const withinAuc = bootstrapByQuestion(
        mixed.map(({ problem }) => problem),
        (weights) => {
          const mass = weights.reduce((sum, weight) => sum + weight, 0)
          return (
            areas.reduce<number>((sum, area, index) => sum + (area ?? 0) * (weights[index] ?? 0), 0) / mass
          )
        },
      )
      return [{ arm, signal, mixed: mixed.length, withinAuc }]
    })
  })
}
