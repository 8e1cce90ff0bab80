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
  /** Greater than 0; may be 0 for a term that has a weight in `admission`. */
  readonly weight: number
  /** Weight in `Judgement.admission`; absent in all terms when admission is by `weight`. */
  readonly admissionWeight?: number
  /** Scores all answers in one batch, in order. */
  score(answers: readonly Answer[]): Promise<readonly TermScore[]>
}

/**
 * Composes terms into a judge. Weights are normalised, and all terms score concurrently.
 *
 * @throws ServiceError INTERNAL when there is no term, no term has a weight, or a term has none of its weights
 *   greater than 0.
 */
export function createRewardJudge(terms: readonly RewardTerm[]): Judge {
  const isUsed = ({ weight, admissionWeight = 0 }: RewardTerm) =>
    weight >= 0 && admissionWeight >= 0 && weight + admissionWeight > 0
  if (!terms.every(isUsed) || !terms.some(({ weight }) => weight > 0)) {
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

interface ScoredTerm {
  readonly term: RewardTerm
  readonly score: TermScore
}

function compose(
  terms: readonly RewardTerm[],
  scores: readonly (readonly TermScore[])[],
  row: number,
): Judgement {
  const named: Record<string, number> = {}
  const scored = terms.map((term, index): ScoredTerm => {
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
    return { term, score }
  })
  const hasAdmission = terms.some(({ admissionWeight = 0 }) => admissionWeight > 0)
  return {
    ...weighted(scored, ({ weight }) => weight),
    terms: named,
    ...(hasAdmission && { admission: weighted(scored, ({ admissionWeight = 0 }) => admissionWeight) }),
  }
}

/** Returns the mean of the terms that have a weight, and the P(correct) of the last of them that estimates it. */
function weighted(
  scored: readonly ScoredTerm[],
  weightOf: (term: RewardTerm) => number,
): Pick<Judgement, 'reward' | 'correctness'> {
  let sum = 0
  let weights = 0
  let correctness: number | null = null
  for (const { term, score } of scored) {
    const weight = weightOf(term)
    if (weight === 0) continue
    sum += weight * score.value
    weights += weight
    correctness = score.correctness ?? correctness
  }
  return { reward: withinUnit(sum / weights), correctness }
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
