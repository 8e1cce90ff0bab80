import { describe, expect, it } from 'vitest'
import { createRandom } from '#tensor'
import { tenantCaps } from '../../../src/episodes/tenant-caps.ts'

const FREE = { limit: Number.MAX_SAFE_INTEGER, maxShare: 1, minEach: 0 }
const totalOf = (available: readonly number[], cap: number) =>
  available.reduce((sum, count) => sum + Math.min(count, cap), 0)

describe('tenantCaps', () => {
  it.each([
    // No tenants, and a single one.
    [[], 0.5, 0],
    [[0, 0], 0.5, 0],
    [[1000], 0.1, 1000],
    [[1000, 0], 0.1, 1000],
    // 7 of 7 + 5 + 2.
    [[12, 5, 2], 0.5, 7],
    // Equal tenants need no cap at their equal shares.
    [[10, 10, 10], 1 / 3, 10],
    // Two tenants cannot both stay within a quarter: they get equal parts.
    [[10, 4], 0.25, 4],
    [[10, 4], 1, 10],
  ])('byShare of %j with a share of %f is %i', (available, maxShare, cap) => {
    expect(tenantCaps(available, { ...FREE, maxShare }).byShare).toBe(cap)
  })

  it('is never below the minimum, whatever the share', () => {
    expect(tenantCaps([1000, 1], { ...FREE, maxShare: 0.5, minEach: 200 }).byShare).toBe(200)
    expect(tenantCaps([1000, 900], { ...FREE, maxShare: 0.5, minEach: 200 }).byShare).toBe(900)
  })

  it.each([
    [[12, 5, 2], 19, 12],
    [[12, 5, 2], 18, 11],
    [[12, 5, 2], 9, 3],
    [[12, 5, 2], 2, 0],
    [[12], 5, 5],
  ])('byLimit of %j with a limit of %i is %i', (available, limit, cap) => {
    expect(tenantCaps(available, { ...FREE, limit }).byLimit).toBe(cap)
  })

  it('returns the largest caps that hold', () => {
    const random = createRandom(11)
    const below = (bound: number) => Math.floor(random.uniform() * bound)
    for (let trial = 0; trial < 300; trial++) {
      const available = Array.from({ length: 2 + below(6) }, () => 1 + below(60))
      const maxShare = 0.05 + 0.95 * random.uniform()
      const limit = below(200)
      const { byShare, byLimit } = tenantCaps(available, { limit, maxShare, minEach: 0 })
      const share = Math.max(maxShare, 1 / available.length)
      const keeps = (cap: number) => cap <= share * totalOf(available, cap) + 1e-6
      const largest = Math.max(...available)
      for (let cap = 0; cap <= largest; cap++) {
        expect(cap <= byShare, `${available} ${maxShare} ${cap}`).toBe(keeps(cap))
        expect(cap <= byLimit, `${available} ${limit} ${cap}`).toBe(totalOf(available, cap) <= limit)
      }
    }
  })
})
