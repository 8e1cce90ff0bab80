/**
 * @file Comparison of the live outcomes of a version with those of the version before it: whether callers now
 * find fewer answers right. Decides on automatic rollbacks.
 */

import type { Figure } from './training-result.ts'

/** Answers with a caller's word on them, and the right ones among them. */
interface OutcomeCount {
  readonly n: number
  readonly right: number
}

/** Outcomes that compare with each other: of one tenant and one strategy. */
export interface OutcomeStratum {
  readonly tenantId: string
  /** Outcomes of the version before, from the days before the promotion. */
  readonly before: OutcomeCount
  /** Outcomes of the version since its promotion. */
  readonly since: OutcomeCount
}

export interface LiveComparison {
  /** Share of right answers; `n` counts outcomes, the interval is by the effective sample size. */
  readonly before: Required<Figure>
  readonly since: Required<Figure>
  /** Effective sample sizes. */
  readonly effective: { readonly before: number; readonly since: number }
}

/** Effective number of outcomes on each side below which nothing is decided. */
const MIN_OUTCOMES = 30

/**
 * Weight that a tenant may have whatever the others have: that of 120 outcomes on each side. Without it, the
 * first outcome of a second tenant would end the watch.
 */
const MIN_TENANT_WEIGHT = 60

/** Number of tenants that are left out in turn, those with the largest weights first. */
const MAX_TENANTS_LEFT_OUT = 20

/**
 * One-sided critical values of the looks, at the levels .05 / 2^j of look j (Bonferroni), which sum to .05
 * however many looks there are: normal quantiles of .975, .9875, .99375 and so on. The last look has at least
 * 30 * 2^9 = 15,360 outcomes.
 */
const CRITICAL = [1.96, 2.241, 2.498, 2.734, 2.955, 3.163, 3.359, 3.546, 3.725, 3.896]

/**
 * Gap that must lie between the two intervals: a smaller fall has no practical effect, and Wilson's intervals
 * are too short for shares near 1, where two wrong answers of 30 would count as a fall from .99.
 */
const MIN_GAP = 0.01

/**
 * Returns whether a new look at the outcomes is due: at 30 outcomes, and then when their number has doubled
 * since the last look. The number of outcomes decides on it, never their result.
 *
 * @param looks number of looks so far
 * @param lastOutcomes number of effective outcomes at the last look; 0 before the first
 * @param outcomes number of effective outcomes now
 */
export function isLookDue(looks: number, lastOutcomes: number, outcomes: number): boolean {
  return looks < CRITICAL.length && outcomes >= Math.max(MIN_OUTCOMES, 2 * lastOutcomes)
}

/** Returns the number of standard errors of the intervals at a look, counted from 1. */
function criticalValueOf(look: number): number {
  return CRITICAL[look - 1] ?? CRITICAL.at(-1)!
}

/**
 * Wilson's score interval of a share (E. B. Wilson, JASA 22, 1927).
 *
 * @param share in [0, 1]
 * @param n sample size, which may be fractional
 * @param z number of standard errors on each side
 */
export function wilsonInterval(
  share: number,
  n: number,
  z: number,
): { readonly low: number; readonly high: number } {
  const squared = z ** 2 / n
  const centre = (share + squared / 2) / (1 + squared)
  const halfWidth = (z / (1 + squared)) * Math.sqrt((share * (1 - share) + squared / 4) / n)
  return { low: Math.max(0, centre - halfWidth), high: Math.min(1, centre + halfWidth) }
}

/**
 * Compares the two sides stratum by stratum, so that a change in who asks, or how, is no change in quality:
 * both sides are means over the strata with the same weights, n_before n_since / (n_before + n_since) (Cochran,
 * Biometrics 10, 1954). Strata with outcomes on one side only are left out. No tenant weighs more than all
 * others together, unless its weight is below that of 120 outcomes on each side. The sample size of a weighted
 * mean is Kish's effective one, (sum w)^2 / sum(w^2 / n) (Survey Sampling, 1965); without other tenants and
 * strategies it is the number of outcomes.
 *
 * @param look number of the look, counted from 1
 * @returns null when no stratum has outcomes on both sides
 */
export function compareOutcomes(strata: readonly OutcomeStratum[], look: number): LiveComparison | null {
  const weighed = weigh(strata)
  if (weighed.length === 0) return null
  const before = meanOf(weighed, (stratum) => stratum.before, look)
  const since = meanOf(weighed, (stratum) => stratum.since, look)
  return {
    before: before.figure,
    since: since.figure,
    effective: { before: before.effective, since: since.effective },
  }
}

/**
 * Returns whether the share of right answers has fallen measurably: the upper end of the interval since the
 * promotion lies below the lower end of the interval before it, by more than .01, with at least 30 effective outcomes on each
 * side. With several tenants, the outcomes without each single one must agree: they have fallen measurably
 * too, or, when they are fewer than 30, their interval does not lie above that of all.
 *
 * The intervals of a look use its critical value. Two intervals that do not overlap differ by more than that
 * many standard errors of their difference, so some look finds a fall that is none in less than 5 % of the
 * versions (simulated in the tests).
 *
 * @param look number of the look, counted from 1
 */
export function hasFallen(strata: readonly OutcomeStratum[], look: number): boolean {
  const all = compareOutcomes(strata, look)
  if (all === null || !isApart(all)) return false
  const weights = weightByTenant(strata)
  if (weights.size < 2) return true
  const leftOut = [...weights]
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_TENANTS_LEFT_OUT)
    .map(([tenantId]) => tenantId)
  return leftOut.every((tenantId) => {
    const others = compareOutcomes(
      strata.filter((stratum) => stratum.tenantId !== tenantId),
      look,
    )!
    return isDecisive(others) ? isApart(others) : others.since.low <= all.since.high
  })
}

/** Returns whether both sides have enough outcomes to decide. */
export function isDecisive({ effective }: LiveComparison): boolean {
  return effective.before >= MIN_OUTCOMES && effective.since >= MIN_OUTCOMES
}

function isApart(comparison: LiveComparison): boolean {
  return isDecisive(comparison) && comparison.since.high < comparison.before.low - MIN_GAP
}

interface Weighed extends OutcomeStratum {
  readonly weight: number
}

/** Weight of a stratum before the cap; 0 when it has outcomes on one side only. */
function rawWeight({ before, since }: OutcomeStratum): number {
  return before.n === 0 || since.n === 0 ? 0 : (before.n * since.n) / (before.n + since.n)
}

/** Returns the weight of each tenant before the cap, without tenants that do not compare. */
function weightByTenant(strata: readonly OutcomeStratum[]): Map<string, number> {
  const weights = new Map<string, number>()
  for (const stratum of strata) {
    const weight = rawWeight(stratum)
    if (weight > 0) weights.set(stratum.tenantId, (weights.get(stratum.tenantId) ?? 0) + weight)
  }
  return weights
}

/** Returns the strata that compare, with their weights after the cap. */
function weigh(strata: readonly OutcomeStratum[]): Weighed[] {
  const weights = weightByTenant(strata)
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0)
  return strata.flatMap((stratum) => {
    const own = weights.get(stratum.tenantId) ?? 0
    const weight = rawWeight(stratum)
    if (weight === 0) return []
    const others = total - own
    const cap = others === 0 ? own : Math.max(MIN_TENANT_WEIGHT, others)
    return [{ ...stratum, weight: weight * Math.min(1, cap / own) }]
  })
}

function meanOf(
  strata: readonly Weighed[],
  sideOf: (stratum: OutcomeStratum) => OutcomeCount,
  look: number,
): { readonly figure: Required<Figure>; readonly effective: number } {
  let [n, weights, right, squares] = [0, 0, 0, 0]
  for (const stratum of strata) {
    const { weight } = stratum
    const side = sideOf(stratum)
    n += side.n
    weights += weight
    right += (weight * side.right) / side.n
    squares += weight ** 2 / side.n
  }
  const effective = weights ** 2 / squares
  const value = Math.min(1, right / weights)
  return { figure: { value, n, ...wilsonInterval(value, effective, criticalValueOf(look)) }, effective }
}
