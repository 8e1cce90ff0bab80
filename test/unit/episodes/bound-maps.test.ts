/** @file The number of maps that are computed at once. */

import { expect, test } from 'vitest'
import type { EpisodeMap } from '../../../src/episodes/episode.ts'
import { boundMaps } from '../../../src/episodes/map-episodes.ts'

const MAP: EpisodeMap = { points: [], explained: [0, 0] }

function openMaps() {
  const computing: { readonly tenantId: string; readonly settle: PromiseWithResolvers<EpisodeMap> }[] = []
  const map = boundMaps((tenantId) => {
    const settle = Promise.withResolvers<EpisodeMap>()
    computing.push({ tenantId, settle })
    return settle.promise
  })
  const ask = (tenantId: string, limit = 2_000) => map(tenantId, { fingerprint: 'f00d', limit })
  return { computing, ask }
}

const overloaded = { code: 'ENGINE_OVERLOADED', retryAfterSeconds: 1 }

test('equal requests of a tenant share one computation; the next one starts another', async () => {
  const { computing, ask } = openMaps()
  const shared = Array.from({ length: 50 }, () => ask('a'))
  expect(computing).toHaveLength(1)
  computing[0]!.settle.resolve(MAP)
  expect(new Set(await Promise.all(shared))).toEqual(new Set([MAP]))
  const next = ask('a')
  expect(computing).toHaveLength(2)
  computing[1]!.settle.resolve(MAP)
  await next
})

test('a tenant has one map at once, and all tenants four', async () => {
  const { computing, ask } = openMaps()
  const maps = ['a', 'b', 'c', 'd'].map((tenant) => ask(tenant))
  await expect(ask('a', 3)).rejects.toMatchObject(overloaded)
  await expect(ask('e')).rejects.toMatchObject(overloaded)
  expect(computing.map(({ tenantId }) => tenantId)).toEqual(['a', 'b', 'c', 'd'])
  for (const { settle } of computing) settle.resolve(MAP)
  await Promise.all(maps)
  const other = ask('e', 3)
  expect(computing).toHaveLength(5)
  computing[4]!.settle.resolve(MAP)
  expect(await other).toBe(MAP)
})

test('a map that fails gives its room back', async () => {
  const { computing, ask } = openMaps()
  const failing = ask('a')
  computing[0]!.settle.reject(new Error('no database'))
  await expect(failing).rejects.toThrow('no database')
  const next = ask('a', 3)
  computing[1]!.settle.resolve(MAP)
  expect(await next).toBe(MAP)
})
