import { expect, test } from 'vitest'
import { isOlderVersion } from '#database'
import { createIndexSql, vectorIndexName } from '#episodes'
import { planIndexes } from '../../../src/episodes/index-large-tenants.ts'

const tenant = (tenantId: string, episodes: number, isProjected = true) => ({
  tenantId,
  fingerprint: 'model-1',
  episodes,
  isProjected,
})
const stored = (tenantId: string, over: object = {}) => ({
  name: vectorIndexName(tenantId, 'model-1'),
  valid: true,
  building: false,
  ...over,
})

test('an index is built at the threshold, kept down to half of it, and dropped below', () => {
  const tenants = [tenant('a', 1_000), tenant('b', 999), tenant('c', 600), tenant('d', 5_000)]
  const indexes = [stored('c'), stored('d'), stored('gone')]
  const { build, drop } = planIndexes(tenants, { indexes }, 1_000)
  expect(build.map(({ tenantId }) => tenantId)).toEqual(['a'])
  expect(drop).toEqual([vectorIndexName('gone', 'model-1')])
})

test('a failed build is dropped, a running one is left alone', () => {
  const indexes = [stored('a', { valid: false }), stored('b', { valid: false, building: true })]
  const plan = planIndexes([tenant('a', 1_000), tenant('b', 1_000)], { indexes }, 1_000)
  expect(plan).toEqual({ build: [], drop: [vectorIndexName('a', 'model-1')] })
})

test('an index waits for the projections of old episodes, and is kept while some are missing', () => {
  const tenants = [tenant('a', 1_000, false), tenant('b', 1_000, false)]
  expect(planIndexes(tenants, { indexes: [stored('b')] }, 1_000)).toEqual({ build: [], drop: [] })
})

test('an index of an earlier release, over the embeddings, is dropped', () => {
  const old = { name: 'episodes_hnsw_0cbb4c63b5d2f3c3a2b1c0d9e8f7a6b5', valid: true, building: false }
  const { build, drop } = planIndexes([tenant('a', 1_000)], { indexes: [old] }, 1_000)
  expect(build.map(({ tenantId }) => tenantId)).toEqual(['a'])
  expect(drop).toEqual([old.name])
})

test('names differ by tenant and model, and values are quoted', () => {
  expect(vectorIndexName('ab', 'c')).not.toBe(vectorIndexName('a', 'bc'))
  expect(vectorIndexName('a', 'b')).toMatch(/^episodes_hnsw_[0-9a-f]{32}$/)
  const sql = createIndexSql({ tenantId: "o'hara\\", fingerprint: "f'; drop table episodes; --" })
  expect(sql).toContain(String.raw`tenant_id =  E'o''hara\\'`)
  expect(sql).toContain("fingerprint = 'f''; drop table episodes; --'")
})

test.each([
  ['0.8.0', '0.8.4', true],
  ['0.8.4', '0.8.4', false],
  ['0.8.10', '0.8.4', false],
  ['0.7.9', '0.8.0', true],
  ['1.0', '0.8.4', false],
  ['0.8', '0.8.1', true],
])('pgvector %s is older than %s: %s', (version, than, isOlder) => {
  expect(isOlderVersion(version, than)).toBe(isOlder)
})
