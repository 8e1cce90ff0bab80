import { describe, expect, test } from 'vitest'
import { compareOutcomes, hasFallen, isLookDue, type OutcomeStratum } from '#algorithms'
import { createRandom, type Random } from '#tensor'
import { wilsonInterval } from '../../../src/algorithms/training/live-outcomes.ts'

const RUNS = 1_000
const side = (n: number, share: number) => ({ n, right: Math.round(n * share) })

function stratum(
  tenantId: string,
  [beforeN, beforeShare]: readonly [number, number],
  [sinceN, sinceShare]: readonly [number, number],
): OutcomeStratum {
  return { tenantId, before: side(beforeN, beforeShare), since: side(sinceN, sinceShare) }
}

function draw(n: number, share: number, random: Random): number {
  let right = 0
  for (let index = 0; index < n; index++) right += random.uniform() < share ? 1 : 0
  return right
}

interface Tenant {
  readonly tenantId: string
  /** Outcomes before the promotion. */
  readonly before: number
  /** Share of the outcomes since the promotion. */
  readonly part: number
  readonly was: number
  readonly is: number
}

/** Looks at 30, 60, 120, ... outcomes. @returns their number when a fall is found; null when none is */
function watch(tenants: readonly Tenant[], maxOutcomes: number, random: Random): number | null {
  const before = tenants.map((tenant) => draw(tenant.before, tenant.was, random))
  const since = tenants.map(() => ({ n: 0, right: 0 }))
  let looks = 0
  for (let outcomes = 30; outcomes <= maxOutcomes; outcomes *= 2) {
    for (const [index, { part, is }] of tenants.entries()) {
      const more = Math.round(outcomes * part) - since[index]!.n
      since[index] = { n: since[index]!.n + more, right: since[index]!.right + draw(more, is, random) }
    }
    looks += 1
    const strata = tenants.map(({ tenantId, before: n }, index) => ({
      tenantId,
      before: { n, right: before[index]! },
      since: since[index]!,
    }))
    if (hasFallen(strata, looks)) return outcomes
  }
  return null
}

function shareOfRuns(tenants: readonly Tenant[], maxOutcomes: number): number {
  const random = createRandom(20_261_129)
  let found = 0
  for (let run = 0; run < RUNS; run++) if (watch(tenants, maxOutcomes, random) !== null) found += 1
  return found / RUNS
}

describe('the interval of a share', () => {
  /** Newcombe, Statistics in Medicine 17 (1998), Table I, method 3. */
  test.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])('is the one published for %d of %d', (right, n, low, high) => {
    const interval = wilsonInterval(right / n, n, 1.959964)
    expect(interval.low).toBeCloseTo(low, 4)
    expect(interval.high).toBeCloseTo(high, 4)
  })
})

describe('looks', () => {
  test('come at 30 outcomes and at every doubling, at most ten', () => {
    expect(isLookDue(0, 0, 29)).toBe(false)
    expect(isLookDue(0, 0, 30)).toBe(true)
    expect(isLookDue(1, 41, 81)).toBe(false)
    expect(isLookDue(1, 41, 82)).toBe(true)
    expect(isLookDue(9, 15_000, 30_000)).toBe(true)
    expect(isLookDue(10, 30_000, 60_000)).toBe(false)
  })

  test('are wider than the ones before', () => {
    const strata = [stratum('a', [200, 0.8], [100, 0.6])]
    const widths = [1, 2, 3, 10].map((look) => {
      const { high, low } = compareOutcomes(strata, look)!.since
      return high - low
    })
    expect(widths).toEqual([...widths].sort((a, b) => a - b))
  })
})

describe('without a change', () => {
  test.each([
    [0.5, 100],
    [0.8, 30],
    [0.8, 200],
    [0.8, 20_000],
    [0.95, 500],
    [0.99, 20_000],
  ])(
    'a share of %f, after %d outcomes before, is rolled back in at most 5 % of the runs',
    (share, before) => {
      const tenants = [{ tenantId: 'a', before, part: 1, was: share, is: share }]
      expect(shareOfRuns(tenants, 3_840)).toBeLessThanOrEqual(0.05)
    },
  )

  test('tenants of different shares are rolled back in at most 5 % of the runs', () => {
    const tenants = [
      { tenantId: 'a', before: 2_000, part: 0.6, was: 0.9, is: 0.9 },
      { tenantId: 'b', before: 300, part: 0.3, was: 0.5, is: 0.5 },
      { tenantId: 'c', before: 50, part: 0.1, was: 0.7, is: 0.7 },
    ]
    expect(shareOfRuns(tenants, 3_840)).toBeLessThanOrEqual(0.05)
  })
})

describe('a fall from .8 to .5', () => {
  test.each([120, 500])('is found within 120 outcomes in 80 %% of the runs, after %d before', (before) => {
    const tenants = [{ tenantId: 'a', before, part: 1, was: 0.8, is: 0.5 }]
    expect(shareOfRuns(tenants, 120)).toBeGreaterThanOrEqual(0.8)
  })

  test('is no fall with fewer than 30 outcomes on either side', () => {
    expect(hasFallen([stratum('a', [29, 1], [500, 0])], 1)).toBe(false)
    expect(hasFallen([stratum('a', [500, 1], [29, 0])], 1)).toBe(false)
    expect(hasFallen([stratum('a', [30, 1], [30, 0])], 1)).toBe(true)
    expect(hasFallen([], 1)).toBe(false)
  })

  test('is no fall when it is a rise', () => {
    expect(hasFallen([stratum('a', [500, 0.5], [500, 0.8])], 1)).toBe(false)
  })
})

describe('tenants', () => {
  test('who ask more than before, and always had a lower share, are no fall', () => {
    const strata = [stratum('easy', [900, 0.95], [100, 0.95]), stratum('hard', [100, 0.4], [900, 0.4])]
    expect(hasFallen(strata, 1)).toBe(false)
    const { before, since } = compareOutcomes(strata, 1)!
    expect(before.value).toBeCloseTo(since.value, 10)
  })

  test('with outcomes on one side only do not count', () => {
    const strata = [stratum('a', [200, 0.8], [200, 0.8]), stratum('new', [0, 0], [5_000, 0])]
    expect(compareOutcomes(strata, 1)!.since).toMatchObject({ value: 0.8, n: 200 })
    expect(hasFallen(strata, 1)).toBe(false)
    expect(compareOutcomes([stratum('new', [0, 0], [5_000, 0])], 1)).toBe(null)
  })

  const steady = (tenantId: string) => stratum(tenantId, [200, 0.8], [200, 0.8])
  const liar = stratum('liar', [2_000, 0.9], [5_000, 0])

  test('cannot roll back alone while another disagrees', () => {
    expect(hasFallen([liar], 1)).toBe(true)
    expect(hasFallen([liar, steady('b')], 1)).toBe(false)
    expect(hasFallen([liar, steady('b'), steady('c'), steady('d')], 1)).toBe(false)
  })

  test('cannot roll back alone while a few outcomes of another contradict', () => {
    expect(hasFallen([liar, stratum('few', [8, 1], [8, 1])], 1)).toBe(false)
  })

  test('are not kept from it by one outcome of another', () => {
    const fallen = stratum('a', [1_000, 0.8], [1_000, 0.5])
    expect(hasFallen([fallen, stratum('tester', [1, 1], [1, 1])], 1)).toBe(true)
  })

  test('roll back together', () => {
    const fallen = (tenantId: string) => stratum(tenantId, [200, 0.8], [120, 0.5])
    expect(hasFallen([fallen('a'), fallen('b')], 3)).toBe(true)
  })

  test('weigh no more than all others together, beyond 120 outcomes', () => {
    const strata = [stratum('large', [10_000, 1], [10_000, 0]), stratum('small', [400, 1], [400, 1])]
    const { since, effective } = compareOutcomes(strata, 1)!
    expect(since.value).toBeCloseTo(0.5, 10)
    expect(effective.since).toBeCloseTo(4 / (1 / 10_000 + 1 / 400), 6)
    const few = [stratum('large', [10_000, 1], [10_000, 0]), stratum('small', [2, 1], [2, 1])]
    // 60 against a weight of 1.
    expect(compareOutcomes(few, 1)!.since.value).toBeCloseTo(1 / 61, 10)
  })
})
