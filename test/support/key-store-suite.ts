/** @file The tests of the store of API keys, run on the embedded database and on a server. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createKeyStore } from '#keys'
import { hashKey } from '../../src/keys/key-store.ts'
import type { TestDatabase } from './test-database.ts'

const ACME = {
  name: 'first',
  tenantId: 'acme',
  scopes: ['solve', 'feedback'],
  rate: null,
  tokens: null,
} as const

export function describeKeyStore(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`API keys on ${name}`, () => {
    let test: TestDatabase
    let store: ReturnType<typeof createKeyStore>

    beforeAll(async () => {
      test = await createDatabase()
      store = createKeyStore({ database: test.database })
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query('delete from api_keys')
    })

    const find = async (key: string) => (await store.find(hashKey(key))).found

    it('has 256 random bits, of which only the hash is stored', async () => {
      const { stored, key } = await store.create(ACME)
      expect(key).toMatch(/^ck_[\w-]{43}$/)
      expect(stored).toEqual({
        ...ACME,
        id: expect.any(String),
        fromFile: false,
        createdAt: expect.any(Date),
        revokedAt: null,
      })
      const { name: _, ...found } = ACME
      expect(await find(key)).toEqual({ id: stored.id, ...found })
      const { rows } = await test.database.pool.query('select api_keys::text as row from api_keys')
      expect(rows[0].row).not.toContain(key.slice(3))
      expect((await store.create(ACME)).key).not.toBe(key)
    })

    it('keeps its limits', async () => {
      const limits = { rate: { amount: 60, seconds: 60 }, tokens: { amount: 1_000_000, seconds: 86_400 } }
      const { stored, key } = await store.create({ ...ACME, ...limits })
      expect(stored).toMatchObject(limits)
      expect(await find(key)).toMatchObject(limits)
      await store.syncFile([{ ...ACME, key: 'of-the-file', ...limits }])
      await store.syncFile([{ ...ACME, key: 'of-the-file', rate: limits.rate }])
      expect(await find('of-the-file')).toMatchObject({ rate: limits.rate, tokens: null })
    })

    it('tells no keys, an unknown key and a revoked one apart', async () => {
      expect(await store.find(null)).toEqual({ found: null, anyKeys: false })
      expect(await store.find(hashKey('unknown'))).toEqual({ found: null, anyKeys: false })
      const { stored, key } = await store.create(ACME)
      const revoked = await store.revoke(stored.id)
      expect(revoked.revokedAt).toBeInstanceOf(Date)
      expect(await store.find(hashKey(key))).toEqual({ found: null, anyKeys: true })
      expect(await store.revoke(stored.id)).toEqual(revoked)
      expect(await store.list()).toEqual([revoked])
    })

    it.each(['nonsense', '00000000-0000-4000-8000-000000000000'])('cannot revoke %s', async (id) => {
      await expect(store.revoke(id)).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' })
    })

    it('lets processes with other files start at the same time: the last file holds', async () => {
      const fileOf = (n: number) =>
        Array.from({ length: 20 }, (_, index) => ({ ...ACME, key: `key ${(index * n) % 23} of ${n % 2}` }))
      for (let round = 1; round <= 10; round++) {
        // Each file has the keys of two others in another order.
        await Promise.all([1, 2, 3, 4].map((n) => store.syncFile(fileOf(n))))
      }
      const valid = (await store.list()).filter(({ revokedAt }) => revokedAt === null)
      expect(valid).toHaveLength(20)
    })

    it('does not know a key of the file until it is written: then it is valid, or an operator has revoked it', async () => {
      const fileKeys = [{ ...ACME, key: 'of-the-file' }]
      const starting = createKeyStore({ database: test.database, fileKeys })
      const hash = hashKey('of-the-file')
      await expect(starting.find(hash)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      expect((await starting.find(hashKey('another'))).found).toBeNull()
      const early = starting.find(hash).catch(({ code }) => code)
      await starting.syncFile(fileKeys)
      expect(await early).not.toMatchObject({ found: null })
      const { found } = await starting.find(hash)
      await starting.revoke(found!.id)
      expect((await starting.find(hash)).found).toBeNull()
    })

    it('follows the file: adds, changes, revokes, and takes back; keys made here stay', async () => {
      const { key: own } = await store.create(ACME)
      const first = { key: 'first-of-the-file', ...ACME }
      const second = { ...first, key: 'second-of-the-file', scopes: ['admin'] as const }
      await store.syncFile([first, second])
      await store.syncFile([{ ...first, tenantId: 'other' }])
      expect(await find(first.key)).toMatchObject({ tenantId: 'other' })
      expect(await find(second.key)).toBeNull()
      await store.syncFile([second])
      expect(await find(first.key)).toBeNull()
      expect(await find(second.key)).toMatchObject({ scopes: ['admin'] })
      await store.syncFile([])
      expect(await find(second.key)).toBeNull()
      expect(await find(own)).toMatchObject({ tenantId: 'acme' })
    })
  })
}
