/** @file Fits the weights of a fused judge: logistic regression with an L2 penalty, by Newton's method. */

import { minimise } from '../training/newton.ts'
import { BY_HAND, type Features } from './features.ts'
import type { FeatureWeight, JudgeWeights } from './fused-judge.ts'

export interface FitExample {
  readonly features: Features
  readonly correct: boolean
  /** Trust in the label, above 0. */
  readonly weight: number
}

/**
 * Penalty on half the square of the distance of every weight but the bias from its prior: a normal prior of variance 1 on the
 * effect, in logits, of one standard deviation of a feature.
 */
const PENALTY = 1
/**
 * Prior of the weight of the reward, in logits for one standard deviation; 0 of all others. The fit starts from the order of the
 * weighting by hand: few answers keep it, many can show that another is better.
 */
const PRIOR_BY_HAND = 1

/**
 * Fits the weights that minimise the weighted cross-entropy plus the penalty. Each feature is standardised over the examples that
 * know it; a missing one counts as the mean, and has an indicator with a weight of its own, a withheld one counts as the mean. A
 * feature that no example knows, or that is the same for all, is left out.
 *
 * @param examples of both classes
 */
export function fitJudge(examples: readonly FitExample[]): JudgeWeights {
  const names = [...new Set(examples.flatMap(({ features }) => Object.keys(features)))]
  const columns = names.flatMap((name) => standardised(name, examples))
  const isMissing = ({ features }: FitExample, name: string) => (features[name] ?? null) === null
  const isPartlyMissing = columns.map(({ name }) => examples.some((example) => isMissing(example, name)))
  const rows = examples.map((example) => [
    1,
    ...columns.map(({ name, mean, deviation }) => {
      const value = example.features[name]
      return typeof value === 'number' ? (value - mean) / deviation : 0
    }),
    ...columns.flatMap(({ name }, index) =>
      isPartlyMissing[index] ? [Number(isMissing(example, name))] : [],
    ),
  ])
  const known = [0, ...columns.map(({ name }) => (name === BY_HAND ? PRIOR_BY_HAND : 0))]
  const data: FitData = { rows, examples, priors: (rows[0] ?? []).map((_, i) => known[i] ?? 0) }
  const [bias = 0, ...fitted] = minimise(data.priors, {
    loss: (at) => lossAt(at, data),
    stepAt: (at) => newtonStep(at, data),
  })
  const indicators = fitted.slice(columns.length)
  return {
    bias,
    features: columns.map((column, index) => ({
      ...column,
      weight: fitted[index]!,
      missing: isPartlyMissing[index] ? indicators.shift()! : 0,
    })),
  }
}

function standardised(
  name: string,
  examples: readonly FitExample[],
): Pick<FeatureWeight, 'name' | 'mean' | 'deviation'>[] {
  const known = examples.flatMap(({ features, weight }) => {
    const value = features[name]
    return typeof value === 'number' ? [{ value, weight }] : []
  })
  const mass = known.reduce((sum, { weight }) => sum + weight, 0)
  const mean = known.reduce((sum, { value, weight }) => sum + weight * value, 0) / mass
  const variance = known.reduce((sum, { value, weight }) => sum + weight * (value - mean) ** 2, 0) / mass
  const deviation = Math.sqrt(variance)
  return deviation > 1e-9 ? [{ name, mean, deviation }] : []
}

/**
 * Rows of standardised features, behind a 1 for the bias, with their labels; and the prior of each column's weight, that of the
 * bias without effect.
 */
interface FitData {
  readonly rows: readonly (readonly number[])[]
  readonly examples: readonly FitExample[]
  readonly priors: readonly number[]
}

function lossAt(at: readonly number[], { rows, examples, priors }: FitData): number {
  const penalty = at.reduce(
    (sum, value, i) => (i === 0 ? sum : sum + (PENALTY / 2) * (value - priors[i]!) ** 2),
    0,
  )
  return examples.reduce((sum, { correct, weight }, row) => {
    const z = logitOf(at, rows[row]!)
    return sum + weight * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - Number(correct) * z)
  }, penalty)
}

/** Newton step -H^-1 g. */
function newtonStep(at: readonly number[], { rows, examples, priors }: FitData): number[] {
  const gradient = at.map((value, i) => (i === 0 ? 0 : PENALTY * (value - priors[i]!)))
  const hessian = at.map((_, i) => at.map((_, j) => (i === j ? (i === 0 ? 1e-6 : PENALTY) : 0)))
  for (const [index, { correct, weight }] of examples.entries()) {
    const row = rows[index]!
    const p = 1 / (1 + Math.exp(-logitOf(at, row)))
    for (const [i, x] of row.entries()) {
      if (x === 0) continue
      gradient[i]! += weight * (p - Number(correct)) * x
      for (const [j, y] of row.entries()) hessian[i]![j]! += weight * p * (1 - p) * x * y
    }
  }
  return solve(
    hessian,
    gradient.map((value) => -value),
  )
}

function logitOf(at: readonly number[], row: readonly number[]): number {
  return row.reduce((sum, x, i) => sum + x * at[i]!, 0)
}

/** Solves A x = b for a symmetric positive definite A, by elimination: no pivoting is needed. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!])
  for (const [i, pivot] of rows.entries()) {
    for (const row of rows.slice(i + 1)) {
      const factor = row[i]! / pivot[i]!
      for (let j = i; j < row.length; j++) row[j]! -= factor * pivot[j]!
    }
  }
  const x = new Array<number>(right.length).fill(0)
  for (let i = rows.length - 1; i >= 0; i--) {
    const known = rows[i]!.slice(i + 1, -1).reduce((sum, value, j) => sum + value * x[i + 1 + j]!, 0)
    x[i] = (rows[i]!.at(-1)! - known) / rows[i]![i]!
  }
  return x
}
