/** @file How many episodes each tenant may bring to a training set. */

export interface CapOptions {
  /** Of the whole training set. */
  readonly limit: number
  /** Largest share of the training set that one tenant may fill, in (0, 1]. */
  readonly maxShare: number
  /** As many a tenant may bring whatever its share is: a second tenant's first episode does not end all learning from the first. */
  readonly minEach: number
}

export interface TenantCap {
  /** Keeps shares within `maxShare`. */
  readonly byShare: number
  /** Keeps the whole within `limit`, and gives small tenants their room first. */
  readonly byLimit: number
}

const ROUNDING = 1e-6

/**
 * The largest caps c for which `sum_t min(n_t, c)` is at most `limit`, and for which c is at most `maxShare` of that sum (never
 * below `minEach`). Tenants that are too few for that get equal parts, and one alone has no share to keep. The smaller of the two caps every tenant.
 *
 * @param available episodes by tenant, n_t
 */
export function tenantCaps(
  available: readonly number[],
  { limit, maxShare, minEach }: CapOptions,
): TenantCap {
  const sorted = available.filter((count) => count > 0).sort((a, b) => a - b)
  // Fewer tenants than shares: equal parts.
  const share = Math.max(maxShare, 1 / sorted.length)
  const fits = (cap: number) => total(sorted, cap) <= limit
  const shares = (cap: number) => cap <= share * total(sorted, cap) + ROUNDING
  const largest = sorted.at(-1) ?? 0
  return {
    byShare: sorted.length <= 1 ? largest : Math.max(minEach, largestCap(largest, shares)),
    byLimit: largestCap(largest, fits),
  }
}

/** What a cap leaves of all tenants together. */
function total(available: readonly number[], cap: number): number {
  return available.reduce((sum, count) => sum + Math.min(count, cap), 0)
}

/** The largest cap in [0, bound] that holds; all smaller ones hold where one does. */
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
