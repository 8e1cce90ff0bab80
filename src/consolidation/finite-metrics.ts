/** @file Figures as they are kept. */

import type { Figure } from '#algorithms'
import type { Metrics } from '#artifacts'

/** JSON has no NaN: what could not be measured is left out. */
export function finiteMetrics(figures: Readonly<Record<string, Figure>>): Metrics {
  const measured = Object.entries(figures).filter(([, { value }]) => Number.isFinite(value))
  return Object.fromEntries(
    measured.map(([name, { value, n, low, high }]) => [
      name,
      { value, n, ...(isBound(low) && { low }), ...(isBound(high) && { high }) },
    ]),
  )
}

function isBound(bound: number | undefined): bound is number {
  return bound !== undefined && Number.isFinite(bound)
}
