/**
 * @file The reward of an answer: a weighted mean of terms, all in [-1, 0].
 *
 * Paper: LatentSeek (arXiv 2505.13308), appendix on self-reward.
 * Deviates: every weight is in both numerator and denominator. The published code adds -2 for a missing
 * format outside the normalisation, so its reward leaves [-1, 0], and the stop threshold has another meaning
 * for every prompt.
 */

import { ServiceError } from '#errors'
import type { Answer, Judge, Judgement } from './judgement.ts'

/** Score of one answer by one term. */
export interface TermScore {
  /** In [-1, 0]. */
  readonly value: number
  /** Parts of the term by name, each in [-1, 0]. */
  readonly parts: Readonly<Record<string, number>>
  /** P(correct) in [0, 1]; only from a term that estimates it. */
  readonly correctness?: number
}

export interface RewardTerm {
  readonly name: string
  /** Greater than 0. */
  readonly weight: number
  /** Scores all answers in one batch, in order. */
  score(answers: readonly Answer[]): Promise<readonly TermScore[]>
}

/**
 * Composes terms into a judge. Weights are normalised, and all terms score concurrently.
 *
 * @throws ServiceError INTERNAL when there is no term, or a weight is not greater than 0.
 */
export function createRewardJudge(terms: readonly RewardTerm[]): Judge {
  if (terms.length === 0 || terms.some((term) => !(term.weight > 0))) {
    const got = terms.map((term) => `${term.name}=${term.weight}`).join(', ') || 'none'
    throw new ServiceError('INTERNAL', `reward: expected terms with weights above 0, got ${got}`)
  }
  return {
    async judge(answers) {
      if (answers.length === 0) return []
      const scores = await Promise.all(terms.map((term) => term.score(answers)))
      return answers.map((_, row) => compose(terms, scores, row))
    },
  }
}

function compose(
  terms: readonly RewardTerm[],
  scores: readonly (readonly TermScore[])[],
  row: number,
): Judgement {
  const named: Record<string, number> = {}
  let sum = 0
  let weights = 0
  let correctness: number | null = null
  terms.forEach((term, index) => {
    const score = scores[index]![row]
    if (score === undefined) {
      throw new ServiceError(
        'INTERNAL',
        `reward: expected a score of ${term.name} for answer ${row}, got none`,
      )
    }
    named[term.name] = checked(score.value, term.name)
    for (const [part, value] of Object.entries(score.parts)) {
      named[`${term.name}.${part}`] = checked(value, `${term.name}.${part}`)
    }
    sum += term.weight * score.value
    weights += term.weight
    correctness = score.correctness ?? correctness
  })
  return { reward: withinUnit(sum / weights), terms: named, correctness }
}

/** Clamps to [-1, 0], which rounding can leave by an ulp, and turns -0 into 0. */
function withinUnit(value: number): number {
  return Math.max(-1, Math.min(0, value)) || 0
}

/** Refuses a value outside [-1, 0], NaN included: comparisons with NaN would fail silently later. */
function checked(value: number, name: string): number {
  if (!(value >= -1 && value <= 0)) {
    throw new ServiceError('INTERNAL', `reward: expected ${name} in [-1, 0], got ${value}`)
  }
  return value || 0
}
