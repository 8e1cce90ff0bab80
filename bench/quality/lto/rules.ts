/** @file Selection rules with the arithmetic of the strategies, evaluated on samples drawn before. */

import { ltoDistribution, majorityVote, weightedMajority } from '#algorithms'
import { mean } from '../../report/statistics.ts'
import type { Sampled, ScoredSample, Scorer } from './draws.ts'

/** Returns P(right) of the answer that a rule selects; 0 or 1 for a rule without randomness. */
export type Rule = (samples: readonly ScoredSample[]) => number

export const first: Rule = ([sample]) => Number(sample?.correct)

export const oracle: Rule = (samples) => Number(samples.some(({ correct }) => correct))

export const majority: Rule = (samples) => Number(samples[majorityVote(samples)]?.correct)

export const weighted =
  (scorer: Scorer): Rule =>
  (samples) => {
    const votes = samples.map(({ answer, reward, scores }) => ({ answer, reward, weight: scores[scorer] }))
    return Number(samples[weightedMajority(votes)]?.correct)
  }

export const best =
  (scorer: Scorer): Rule =>
  (samples) => {
    const scores = samples.map((sample) => sample.scores[scorer])
    return Number(samples[scores.indexOf(Math.max(...scores))]?.correct)
  }

/** Expectation over the rule's draw, so that the draw adds no noise. */
export const lto =
  (scorer: Scorer, beta: number): Rule =>
  (samples) => {
    const chances = ltoDistribution(
      samples.map((sample) => sample.scores[scorer]),
      beta,
    )
    return samples.reduce((sum, { correct }, index) => sum + Number(correct) * chances[index]!, 0)
  }

/** One value per problem. */
export type Outcomes = readonly number[]

export function outcomes(sampled: readonly Sampled<ScoredSample>[], rule: Rule, count: number): Outcomes {
  return sampled.map(({ samples }) => rule(samples.slice(0, count)))
}

export interface Estimate {
  readonly value: number
  readonly standardError: number
}

/** Mean over problems, with the standard error of independent problems. */
export function estimate(values: Outcomes): Estimate {
  const value = mean(values)
  const variance = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / (values.length - 1)
  return { value, standardError: Math.sqrt(variance / values.length) }
}

/** Mean of `a - b`, problem by problem. */
export function difference(a: Outcomes, b: Outcomes): Estimate {
  return estimate(a.map((value, index) => value - b[index]!))
}
