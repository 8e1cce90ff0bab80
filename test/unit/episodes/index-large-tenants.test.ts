import { expect, test } from 'vitest'
import { isOlderVersion } from '#database'
import { createIndexSql, vectorIndexName } from '#episodes'
import { planIndexes } from '../../../src/episodes/index-large-tenants.ts'

const tenant = (tenantId: string, episodes: number, width = 256) => ({
  tenantId,
  fingerprint: 'model-1',
  episodes,
  width,
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

test('embeddings too wide for an index keep the exact scan', () => {
  expect(planIndexes([tenant('a', 1_000, 4_001)], { indexes: [] }, 1_000).build).toEqual([])
})

test('names differ by tenant and model, and values are quoted', () => {
  expect(vectorIndexName('ab', 'c')).not.toBe(vectorIndexName('a', 'bc'))
  expect(vectorIndexName('a', 'b')).toMatch(/^episodes_hnsw_[0-9a-f]{32}$/)
  const sql = createIndexSql({ tenantId: "o'hara\\", fingerprint: "f'; drop table episodes; --", width: 8 })
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
