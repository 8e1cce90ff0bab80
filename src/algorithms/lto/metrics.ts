/**
 * @file Metrics of scored answers: AUC, accuracy, F1, calibration error. Each is a figure with n and a 95 %
 * interval over clusters of questions, and throws ServiceError INTERNAL for a score that is not a number.
 */

import { ServiceError } from '#errors'
import { type BootstrapOptions, bootstrapByQuestion, type Statistic } from '../training/bootstrap.ts'
import type { Figure } from '../training/training-result.ts'

/** Score that a model gives an answer, and whether the answer is correct. */
export interface ScoredAnswer {
  readonly question: string
  /** Cluster of near-duplicates that the question belongs to; the question itself unless given. */
  readonly cluster?: string
  readonly score: number
  readonly correct: boolean
}

type Answers = readonly ScoredAnswer[]

const CALIBRATION_BINS = 15

/**
 * Share of (right, wrong) pairs that the scores order correctly, a tie counting one half (Mann-Whitney). NaN
 * without both classes.
 */
export function auc(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, aucOf, options)
}

/** Share of answers that score >= .5 classifies correctly. */
export function accuracy(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, accuracyOf, options)
}

/**
 * F1, the harmonic mean of precision and recall, with score >= .5 as "right". NaN when no answer is right
 * and none is classified as right.
 */
export function f1(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, f1Of, options)
}

/**
 * Expected calibration error: |mean score - share of right answers| in 15 bins of equal width over [0, 1],
 * weighted by the number of answers in each (Guo et al., arXiv 1706.04599, Eq. 3). It is never negative, so
 * small samples inflate it and its interval.
 */
export function ece(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, eceOf, options)
}

/**
 * AUC of the answers' own scores minus AUC of the scores `others`, on the same answers and the same
 * resamples of questions.
 *
 * @throws ServiceError INTERNAL when the lengths differ.
 */
export function pairedAucDifference(
  answers: Answers,
  others: readonly number[],
  options?: BootstrapOptions,
): Figure {
  const otherAnswers = withScores(answers, others)
  checkScores(otherAnswers)
  const otherAuc = aucOf(otherAnswers)
  return figure(
    answers,
    (own) => {
      const ownAuc = aucOf(own)
      return (weights) => ownAuc(weights) - otherAuc(weights)
    },
    options,
  )
}

/** Brier score: mean squared error of P(correct), the score of an answer. */
export function brierScore(answers: readonly Pick<ScoredAnswer, 'score' | 'correct'>[]): number {
  const errors = answers.map(({ score, correct }) => (score - Number(correct)) ** 2)
  return errors.reduce((sum, error) => sum + error, 0) / errors.length
}

/**
 * Returns the same answers with other scores, in order.
 *
 * @throws ServiceError INTERNAL when the lengths differ.
 */
export function withScores<Answer extends ScoredAnswer>(
  answers: readonly Answer[],
  scores: readonly number[],
): readonly Answer[] {
  if (scores.length !== answers.length) {
    throw new ServiceError('INTERNAL', `metrics: expected ${answers.length} scores, got ${scores.length}`)
  }
  return answers.map((answer, index) => ({ ...answer, score: scores[index]! }))
}

function figure(
  answers: Answers,
  statisticOf: (answers: Answers) => Statistic,
  options?: BootstrapOptions,
): Figure {
  checkScores(answers)
  return bootstrapByQuestion(
    answers.map(({ question, cluster }) => cluster ?? question),
    statisticOf(answers),
    options,
  )
}

function checkScores(answers: Answers): void {
  const odd = answers.find(({ score }) => Number.isNaN(score))
  if (odd) throw new ServiceError('INTERNAL', `metrics: expected numbers as scores, got ${odd.score}`)
}

/** Returns `auc` as a statistic. Sorts the answers once, so that every resample is one pass. */
export function aucOf(answers: Answers): Statistic {
  const order = [...answers.keys()].sort((a, b) => answers[a]!.score - answers[b]!.score)
  return (weights) => {
    let wrongBelow = 0
    let right = 0
    let ordered = 0
    for (let start = 0; start < order.length; ) {
      const { score } = answers[order[start]!]!
      let tiedRight = 0
      let tiedWrong = 0
      let end = start
      for (; end < order.length && answers[order[end]!]!.score === score; end++) {
        const weight = weights[order[end]!]!
        if (answers[order[end]!]!.correct) tiedRight += weight
        else tiedWrong += weight
      }
      ordered += tiedRight * (wrongBelow + tiedWrong / 2)
      right += tiedRight
      wrongBelow += tiedWrong
      start = end
    }
    return ordered / (right * wrongBelow)
  }
}

function accuracyOf(answers: Answers): Statistic {
  return (weights) => {
    let correctlyClassified = 0
    let total = 0
    for (const [index, { score, correct }] of answers.entries()) {
      total += weights[index]!
      if (score >= 0.5 === correct) correctlyClassified += weights[index]!
    }
    return correctlyClassified / total
  }
}

function f1Of(answers: Answers): Statistic {
  return (weights) => {
    let truePositives = 0
    let positives = 0
    let right = 0
    for (const [index, { score, correct }] of answers.entries()) {
      const weight = weights[index]!
      if (score >= 0.5) positives += weight
      if (correct) right += weight
      if (score >= 0.5 && correct) truePositives += weight
    }
    return (2 * truePositives) / (positives + right)
  }
}

function eceOf(answers: Answers): Statistic {
  const bins = answers.map(({ score }) =>
    Math.min(CALIBRATION_BINS - 1, Math.max(0, Math.floor(score * CALIBRATION_BINS))),
  )
  return (weights) => {
    const gaps = new Float64Array(CALIBRATION_BINS)
    let total = 0
    for (const [index, { score, correct }] of answers.entries()) {
      gaps[bins[index]!]! += weights[index]! * (score - Number(correct))
      total += weights[index]!
    }
    return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / total
  }
}
