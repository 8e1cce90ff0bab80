/** @file Newton's method with halved steps, for the convex losses of a few parameters. */

/** Upper bound on Newton steps; ten are enough for logistic losses with a penalty. */
const MAX_STEPS = 50
/** Shares of a Newton step, tried in order: far from the optimum Newton's method overshoots. */
const STEP_SHARES = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
/** Fall of the loss below which no further step is taken. */
const TOLERANCE = 1e-10

export interface NewtonProblem {
  loss(at: readonly number[]): number
  /** Returns -H^-1 g at a point. */
  stepAt(at: readonly number[]): readonly number[]
  /** Returns the nearest point that is allowed; every point is unless given. */
  allowed?(at: readonly number[]): readonly number[]
}

/** Returns the point that the steps from `start` lead to. */
export function minimise(
  start: readonly number[],
  { loss: lossAt, stepAt, allowed = (at) => at }: NewtonProblem,
): readonly number[] {
  let at = start
  let loss = lossAt(at)
  for (let step = 0; step < MAX_STEPS; step++) {
    const change = stepAt(at)
    const next = STEP_SHARES.map((share) =>
      allowed(at.map((value, index) => value + share * change[index]!)),
    ).find((candidate) => lossAt(candidate) < loss - TOLERANCE)
    if (next === undefined) break
    at = next
    loss = lossAt(at)
  }
  return at
}
