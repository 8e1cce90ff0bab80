/** @file When another setting replaces the profile's own. */

/** Standard errors in a 95 % interval. */
export const WIDTH_OF_INTERVAL = 2 * 1.96

/**
 * Returns whether one setting beat another in paired trials by more than one standard error of the difference
 * (McNemar): chance alone picks some other setting as the best of several nearly always.
 *
 * @param wins trials that the one won and the other lost
 * @param losses trials that the other won and the one lost
 */
function isBetter(wins: number, losses: number): boolean {
  return wins - losses > Math.sqrt(wins + losses)
}

/**
 * Returns the place of the setting with the most successes if it is better than that at `own`; else `own`.
 *
 * @param trials successes of each setting in the same trials
 */
export function chooseBest(trials: readonly (readonly boolean[])[], own: number): number {
  const counts = trials.map((each) => each.filter(Boolean).length)
  const best = counts.indexOf(Math.max(...counts))
  const pairs = trials[best]!.map((success, index) => Number(success) - Number(trials[own]![index]))
  const wins = pairs.filter((difference) => difference > 0).length
  const losses = pairs.filter((difference) => difference < 0).length
  return isBetter(wins, losses) ? best : own
}
