/** @file The tests of idempotency keys, run on the embedded database and on a server. */

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createEpisodeStore } from '#episodes'
import { createIdempotencyStore, type IdempotencyStore, type Ownership } from '#keys'
import { newEpisode } from './episodes.ts'
import type { TestDatabase } from './test-database.ts'

const hash = (text: string) => createHash('sha256').update(text).digest()
const REQUEST = hash('request')

export function describeIdempotency(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`idempotency keys on ${name}`, () => {
    let test: TestDatabase
    let store: IdempotencyStore
    beforeAll(async () => {
      test = await createDatabase()
      store = createIdempotencyStore({ database: test.database })
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query('delete from idempotency_keys')
    })

    async function own(tenant = 'acme', key = 'k', request = REQUEST): Promise<Ownership> {
      const claim = await store.claim(tenant, key, request)
      if (claim.state !== 'own') throw new Error(`expected own, got ${claim.state}`)
      return claim.ownership
    }
    const age = (interval: string) =>
      test.database.pool.query(
        `update idempotency_keys set created_at = created_at - interval '${interval}', leased_until = leased_until - interval '${interval}'`,
      )

    it('give one of many equal requests the work, and the others its answer, exactly', async () => {
      const claims = await Promise.all(Array.from({ length: 8 }, () => store.claim('acme', 'k', REQUEST)))
      expect(claims.map(({ state }) => state).sort()).toEqual(['own', ...Array(7).fill('running')])
      const [ownership] = claims.flatMap((claim) => (claim.state === 'own' ? claim.ownership : []))
      expect(ownership).toMatchObject({ tenantId: 'acme', key: 'k', isTakenOver: false })
      const result = { seed: 2 ** 53 - 1, reward: -0.04, text: 'a\0b \ud800 \u{1f600}', none: null }
      expect(await store.complete(ownership!, result)).toBe(true)
      expect(await store.claim('acme', 'k', REQUEST)).toEqual({ state: 'answered', result })
    })

    it('belong to one request, of one tenant', async () => {
      const first = await own()
      expect(await store.claim('acme', 'k', hash('another'))).toEqual({ state: 'other-request' })
      await store.complete(first, 1)
      expect(await store.claim('acme', 'k', hash('another'))).toEqual({ state: 'other-request' })
      const stranger = await own('other', 'k', hash('another'))
      expect(stranger.answerId).not.toBe(first.answerId)
      expect(await store.complete(stranger, 2)).toBe(true)
      expect(await store.claim('acme', 'k', REQUEST)).toEqual({ state: 'answered', result: 1 })
    })

    it('pass to the next process, with the same id, when the first gives up or dies; its late answer is refused', async () => {
      const first = await own()
      await age('14 s')
      await store.renew(first)
      await age('14 s')
      expect(await store.claim('acme', 'k', REQUEST)).toEqual({ state: 'running' })
      await age('2 s')
      const second = await own()
      expect(second).toMatchObject({ answerId: first.answerId, isTakenOver: true })
      await store.renew(first)
      expect(await store.complete(first, 'late')).toBe(false)
      await store.release(second)
      const third = await own()
      expect(third).toMatchObject({ answerId: first.answerId, isTakenOver: true })
      expect(await store.complete(third, 'answer')).toBe(true)
      expect(await store.complete(second, 'late')).toBe(false)
      await store.release(second)
      expect(await store.claim('acme', 'k', REQUEST)).toEqual({ state: 'answered', result: 'answer' })
    })

    it('are free again after a day, with a new id', async () => {
      const first = await own()
      await store.complete(first, 1)
      await age('23 h')
      expect(await store.claim('acme', 'k', REQUEST)).toMatchObject({ state: 'answered' })
      await age('2 h')
      const second = await own('acme', 'k', hash('another'))
      expect(second.isTakenOver).toBe(false)
      expect(second.answerId).not.toBe(first.answerId)
    })

    it('lose their answer with its episode, but not the work on it', async () => {
      const episodes = createEpisodeStore({ database: test.database })
      const first = await own()
      await episodes.add({ ...newEpisode(), tenantId: 'acme', id: first.answerId })
      await episodes.remove('acme', first.answerId)
      expect(await store.claim('acme', 'k', REQUEST)).toEqual({ state: 'running' })
      await episodes.add({ ...newEpisode(), tenantId: 'acme', id: first.answerId })
      await store.complete(first, 1)
      await episodes.remove('acme', first.answerId)
      expect((await own()).answerId).not.toBe(first.answerId)
    })
  })
}
