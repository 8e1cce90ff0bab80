/**
 * @file The reward: a weighted mean of terms, all in [-1, 0].
 *
 * Paper: LatentSeek (arXiv 2505.13308), appendix on self-reward.
 * Deviates: every weight stands in numerator and denominator. The published code adds -2 for a missing format outside
 * the normalisation, so its reward leaves [-1, 0], and the stop threshold means something else for every prompt.
 */

import { ServiceError } from '#errors'
import type { Answer, Judge, Judgement } from './judgement.ts'

export interface TermScore {
  /** In [-1, 0]. */
  readonly value: number
  /** Its parts by name, each in [-1, 0]. */
  readonly parts: Readonly<Record<string, number>>
  /** P(correct) in [0, 1], from the term that estimates it. */
  readonly correctness?: number
}

export interface RewardTerm {
  readonly name: string
  /** Above 0. */
  readonly weight: number
  /** Scores all answers in one batch, in order. */
  score(answers: readonly Answer[]): Promise<readonly TermScore[]>
}

/**
 * Composes terms into a judge; weights are normalised, terms are asked at the same time.
 *
 * @throws ServiceError INTERNAL when there is no term, or a weight is not above 0.
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

/** Rounding may leave [-1, 0] by an ulp, and -0 is 0 to everyone but `Object.is`. */
function withinUnit(value: number): number {
  return Math.max(-1, Math.min(0, value)) || 0
}

/** NaN would win or lose every comparison silently: it is refused here, once. */
function checked(value: number, name: string): number {
  if (!(value >= -1 && value <= 0)) {
    throw new ServiceError('INTERNAL', `reward: expected ${name} in [-1, 0], got ${value}`)
  }
  return value || 0
}
