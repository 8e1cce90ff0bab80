/** @file Statistics that the benches print. */

export { mean } from '#evaluation'

/** Binomial standard error of a proportion over `n` independent trials. */
export function standardError(proportion: number, n: number): number {
  return Math.sqrt((proportion * (1 - proportion)) / n)
}

/** Quantile by linear interpolation between order statistics; `q` in [0, 1]. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? Number.NaN
  return low + (high - low) * (at - Math.floor(at))
}

/**
 * Area under the ROC curve of scores against labels: P(score of a positive > score of a negative); ties
 * count half.
 */
export function areaUnderCurve(
  scored: readonly { readonly score: number; readonly label: boolean }[],
): number {
  const positives = scored.filter((row) => row.label)
  const negatives = scored.filter((row) => !row.label)
  let wins = 0
  for (const positive of positives) {
    for (const negative of negatives) {
      wins += positive.score > negative.score ? 1 : positive.score === negative.score ? 0.5 : 0
    }
  }
  return wins / (positives.length * negatives.length)
}
