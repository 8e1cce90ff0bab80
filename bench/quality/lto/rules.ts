/** @file Rules of selection, evaluated on samples that are there already: the same arithmetic as the strategies'. */

import { ltoDistribution, majorityVote, weightedMajority } from '#algorithms'
import { mean } from '../../report/statistics.ts'
import type { Sampled, ScoredSample, Scorer } from './draws.ts'

/** P(the answer of a rule is right), over its own chance: 0 or 1 where it has none. */
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

/** Every outcome of the draw, by its probability: no noise of its own. */
export const lto =
  (scorer: Scorer, beta: number): Rule =>
  (samples) => {
    const chances = ltoDistribution(
      samples.map((sample) => sample.scores[scorer]),
      beta,
    )
    return samples.reduce((sum, { correct }, index) => sum + Number(correct) * chances[index]!, 0)
  }

/** One value a problem. */
export type Outcomes = readonly number[]

export function outcomes(sampled: readonly Sampled<ScoredSample>[], rule: Rule, count: number): Outcomes {
  return sampled.map(({ samples }) => rule(samples.slice(0, count)))
}

export interface Estimate {
  readonly value: number
  readonly standardError: number
}

/** Mean over problems; the standard error is that of independent problems. */
export function estimate(values: Outcomes): Estimate {
  const value = mean(values)
  const variance = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / (values.length - 1)
  return { value, standardError: Math.sqrt(variance / values.length) }
}

/** Mean of `a - b`, problem by problem. */
export function difference(a: Outcomes, b: Outcomes): Estimate {
  return estimate(a.map((value, index) => value - b[index]!))
}
