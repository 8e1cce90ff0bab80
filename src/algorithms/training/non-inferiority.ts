/**
 * @file Paired comparison of a candidate with a rival: intervals of the mean difference over independent
 * groups of questions, and the critical values of a test that looks at the data several times.
 */

import type { Figure } from './training-result.ts'

/** One question, measured with the candidate and with its rival. */
export interface Pair {
  /** Questions of one cluster (near-duplicates) are not independent: a cluster is one observation. */
  readonly cluster: string
  readonly mine: number
  readonly theirs: number
}

/** Number of clusters below which a measure is reported and decides nothing. */
export const MIN_CLUSTERS = 30

/** Place of a look in the planned series: look `index` of `count`, counted from 1. */
export interface Look {
  readonly index: number
  readonly count: number
}

export const ONLY_LOOK: Look = { index: 1, count: 1 }

/**
 * Final critical values of O'Brien and Fleming's group-sequential test for 1 to 5 equally spaced looks, at a
 * one-sided level of .025 (Jennison & Turnbull 2000, Table 2.3).
 */
const FINAL_CRITICAL = [1.96, 1.977, 2.004, 2.024, 2.04]

/** Largest number of looks that `criticalValue` knows. */
export const MAX_LOOKS = FINAL_CRITICAL.length

/**
 * Returns the critical value of one look: strict in early ones, so that all looks together have a one-sided
 * level of .025.
 */
export function criticalValue({ index, count }: Look): number {
  return FINAL_CRITICAL[count - 1]! * Math.sqrt(count / index)
}

/**
 * Returns the critical value of the test for a gain, at a one-sided level of .05. A gain that is wrongly found
 * is harmless, because the candidate has already been shown to lose nothing.
 */
export function gainCriticalValue(look: Look): number {
  return criticalValue(look) * (1.645 / 1.96)
}

export interface Difference extends Figure {
  readonly low: number
  readonly high: number
  /** Number of clusters, the sample size of the interval. */
  readonly clusters: number
}

/**
 * Returns the mean difference (candidate minus rival) over clusters, and its interval of `critical` standard
 * errors.
 *
 * `binary`, for measures that are 0 or 1 per question: half a cluster is added in which the candidate wins,
 * half a one in which it loses, and one without a difference (Agresti & Min, Statistics in Medicine 2005).
 * Without them the interval of a few identical results would have no width, and would prove that nothing is
 * lost.
 *
 * @param critical number of standard errors on each side
 */
export function meanDifference(
  pairs: readonly Pair[],
  critical: number,
  { binary = false }: { readonly binary?: boolean } = {},
): Difference {
  const clusters = [...Map.groupBy(pairs, ({ cluster }) => cluster).values()].map((members) =>
    mean(members.map(({ mine, theirs }) => mine - theirs)),
  )
  const value = mean(clusters)
  const count = clusters.length + (binary ? 2 : 0)
  const centre = (value * clusters.length) / count
  const squares = clusters.reduce((sum, one) => sum + one ** 2, binary ? 1 : 0)
  const variance = Math.max(0, squares - count * centre ** 2) / Math.max(1, count - 1)
  const halfWidth = count < 2 ? Number.POSITIVE_INFINITY : critical * Math.sqrt(variance / count)
  return {
    value,
    n: pairs.length,
    low: value - halfWidth,
    high: value + halfWidth,
    clusters: clusters.length,
  }
}

/** Returns the difference as it is reported. */
export function toFigure({ value, n, low, high }: Difference): Figure {
  return { value, n, low, high }
}

/** Returns whether a difference may decide: it has an interval, over enough clusters. */
export function isDecisive({ clusters, value }: Difference): boolean {
  return clusters >= MIN_CLUSTERS && Number.isFinite(value)
}

/** Shows a difference in a verdict's reason, e.g. `+0.031 (-0.004 to 0.066, n = 150)`. */
export function showDifference({ value, low, high, n }: Difference): string {
  const sign = value >= 0 ? '+' : ''
  return `${sign}${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)}, n = ${n})`
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
