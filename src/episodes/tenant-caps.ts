/** @file The cap on the number of episodes that each tenant contributes to a training set. */

export interface CapOptions {
  /** Largest size of the whole training set. */
  readonly limit: number
  /** Largest share of the training set that one tenant may fill, in (0, 1]. */
  readonly maxShare: number
  /**
   * Lower bound on `byShare`: a tenant may contribute this many whatever its share. Without it, the first
   * episode of a second tenant would end nearly all training on the first tenant's episodes.
   */
  readonly minEach: number
}

export interface TenantCap {
  /** Cap that keeps every tenant's share within `maxShare`. */
  readonly byShare: number
  /** Cap that keeps the whole set within `limit`; it takes from the largest tenants first. */
  readonly byLimit: number
}

const ROUNDING = 1e-6

/**
 * Returns two caps; the smaller of the two applies to every tenant. `byLimit` is the largest c for which
 * `sum_t min(n_t, c)` is at most `limit`. `byShare` is the largest c that is at most `maxShare` of that sum,
 * and never below `minEach`. When there are too few tenants for `maxShare`, they get equal parts; a single
 * tenant has no cap by share.
 *
 * @param available number of episodes of each tenant, n_t
 */
export function tenantCaps(
  available: readonly number[],
  { limit, maxShare, minEach }: CapOptions,
): TenantCap {
  const sorted = available.filter((count) => count > 0).sort((a, b) => a - b)
  // When 1 / maxShare exceeds the number of tenants, they get equal parts.
  const share = Math.max(maxShare, 1 / sorted.length)
  const fits = (cap: number) => total(sorted, cap) <= limit
  const shares = (cap: number) => cap <= share * total(sorted, cap) + ROUNDING
  const largest = sorted.at(-1) ?? 0
  return {
    byShare: sorted.length <= 1 ? largest : Math.max(minEach, largestCap(largest, shares)),
    byLimit: largestCap(largest, fits),
  }
}

/** Returns the number of episodes of all tenants together under a cap. */
function total(available: readonly number[], cap: number): number {
  return available.reduce((sum, count) => sum + Math.min(count, cap), 0)
}

/** Returns the largest cap in [0, bound] for which `holds`. When a cap holds, all smaller caps must hold. */
function largestCap(bound: number, holds: (cap: number) => boolean): number {
  let low = 0
  let high = bound
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (holds(middle)) low = middle
    else high = middle - 1
  }
  return low
}
