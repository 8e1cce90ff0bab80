/** @file Fits the weights of a fused judge: logistic regression with an L2 penalty, by Newton's method. */

import type { Features } from './features.ts'
import type { FeatureWeight, JudgeWeights } from './fused-judge.ts'

export interface FitExample {
  readonly features: Features
  readonly correct: boolean
  /** Trust in the label, above 0. */
  readonly weight: number
}

/**
 * Penalty on half the square of every weight but the bias: a normal prior of variance 1 on the effect, in logits, of one standard
 * deviation of a feature.
 */
const PENALTY = 1
/** Upper bound on Newton steps; ten are enough for separable data under the penalty. */
const MAX_STEPS = 50
const STEP_SHARES = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
const TOLERANCE = 1e-10

/**
 * Fits the weights that minimise the weighted cross-entropy plus the penalty. Each feature is standardised over the examples that
 * know it; a missing one counts as the mean, and has an indicator with a weight of its own. A feature that no example knows, or
 * that is the same for all, is left out.
 *
 * @param examples of both classes
 */
export function fitJudge(examples: readonly FitExample[]): JudgeWeights {
  const names = [...new Set(examples.flatMap(({ features }) => Object.keys(features)))]
  const columns = names.flatMap((name) => standardised(name, examples))
  const isPartlyMissing = columns.map(({ name }) =>
    examples.some(({ features }) => (features[name] ?? null) === null),
  )
  const rows = examples.map(({ features }) => [
    1,
    ...columns.map(({ name, mean, deviation }) => ((features[name] ?? mean) - mean) / deviation),
    ...columns.flatMap(({ name }, index) =>
      isPartlyMissing[index] ? [(features[name] ?? null) === null ? 1 : 0] : [],
    ),
  ])
  const [bias = 0, ...fitted] = minimise(rows, examples)
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
    const value = features[name] ?? null
    return value === null ? [] : [{ value, weight }]
  })
  const mass = known.reduce((sum, { weight }) => sum + weight, 0)
  const mean = known.reduce((sum, { value, weight }) => sum + weight * value, 0) / mass
  const variance = known.reduce((sum, { value, weight }) => sum + weight * (value - mean) ** 2, 0) / mass
  const deviation = Math.sqrt(variance)
  return deviation > 1e-9 ? [{ name, mean, deviation }] : []
}

/** Returns the weights of the columns of `rows`; the first column is the bias, which has no penalty. */
function minimise(rows: readonly (readonly number[])[], examples: readonly FitExample[]): number[] {
  const size = rows[0]?.length ?? 0
  let at = new Array<number>(size).fill(0)
  let loss = lossAt(at, rows, examples)
  for (let step = 0; step < MAX_STEPS; step++) {
    const change = newtonStep(at, rows, examples)
    // Halved until the loss falls: far from the optimum Newton's method overshoots.
    const next = STEP_SHARES.map((share) => at.map((value, i) => value + share * change[i]!)).find(
      (candidate) => lossAt(candidate, rows, examples) < loss - TOLERANCE,
    )
    if (next === undefined) break
    at = next
    loss = lossAt(at, rows, examples)
  }
  return at
}

function lossAt(
  at: readonly number[],
  rows: readonly (readonly number[])[],
  examples: readonly FitExample[],
): number {
  const penalty = at.slice(1).reduce((sum, value) => sum + (PENALTY / 2) * value ** 2, 0)
  return examples.reduce((sum, { correct, weight }, row) => {
    const z = logitOf(at, rows[row]!)
    return sum + weight * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - Number(correct) * z)
  }, penalty)
}

/** Newton step -H^-1 g. */
function newtonStep(
  at: readonly number[],
  rows: readonly (readonly number[])[],
  examples: readonly FitExample[],
): number[] {
  const gradient = at.map((value, i) => (i === 0 ? 0 : PENALTY * value))
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
