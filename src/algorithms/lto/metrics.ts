/**
 * @file How good scores of answers are: figures with n and a 95 % interval over questions. Each throws ServiceError INTERNAL for
 * a score that is not a number.
 */

import { ServiceError } from '#errors'
import { type BootstrapOptions, bootstrapByQuestion, type Statistic } from '../training/bootstrap.ts'
import type { Figure } from '../training/training-result.ts'

/** An answer, what a model says of it and what is true. */
export interface ScoredAnswer {
  readonly question: string
  readonly score: number
  readonly correct: boolean
}

type Answers = readonly ScoredAnswer[]

const CALIBRATION_BINS = 15

/** Share of (right, wrong) pairs that the scores put in order, a tie counting one half (Mann-Whitney). NaN without both classes. */
export function auc(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, aucOf, options)
}

/** Share of answers for which score >= .5 says whether they are right. */
export function accuracy(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, accuracyOf, options)
}

/** Of "right" = score >= .5: harmonic mean of precision and recall. NaN when no answer is right and none is called so. */
export function f1(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, f1Of, options)
}

/**
 * Expected calibration error: |mean score - share of right answers| in 15 bins of equal width over [0, 1], weighted by how many
 * answers are in each (Guo et al., arXiv 1706.04599, Eq. 3). Never negative, so small samples inflate it; its interval too.
 */
export function ece(answers: Answers, options?: BootstrapOptions): Figure {
  return figure(answers, eceOf, options)
}

/**
 * AUC of the answers' own scores minus AUC of `others`, on the same answers and the same resamples of questions.
 *
 * @throws ServiceError INTERNAL when the lengths differ.
 */
export function pairedAucDifference(
  answers: Answers,
  others: readonly number[],
  options?: BootstrapOptions,
): Figure {
  const rivals = withScores(answers, others)
  checkScores(rivals)
  const rival = aucOf(rivals)
  return figure(
    answers,
    (own) => {
      const candidate = aucOf(own)
      return (weights) => candidate(weights) - rival(weights)
    },
    options,
  )
}

/** The same answers with other scores, in order. @throws ServiceError INTERNAL when the lengths differ. */
export function withScores(answers: Answers, scores: readonly number[]): Answers {
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
    answers.map(({ question }) => question),
    statisticOf(answers),
    options,
  )
}

function checkScores(answers: Answers): void {
  const odd = answers.find(({ score }) => Number.isNaN(score))
  if (odd) throw new ServiceError('INTERNAL', `metrics: expected scores, got ${odd.score}`)
}

/** Sorted once; every resample is then one pass. */
function aucOf(answers: Answers): Statistic {
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
    let agreed = 0
    let total = 0
    for (const [index, { score, correct }] of answers.entries()) {
      total += weights[index]!
      if (score >= 0.5 === correct) agreed += weights[index]!
    }
    return agreed / total
  }
}

function f1Of(answers: Answers): Statistic {
  return (weights) => {
    let found = 0
    let called = 0
    let right = 0
    for (const [index, { score, correct }] of answers.entries()) {
      const weight = weights[index]!
      if (score >= 0.5) called += weight
      if (correct) right += weight
      if (score >= 0.5 && correct) found += weight
    }
    return (2 * found) / (called + right)
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
