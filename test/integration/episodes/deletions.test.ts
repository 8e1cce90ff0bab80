import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEpisodeStore, type EpisodeStore } from '#episodes'
import { describeDeletions } from '../../support/deletions-suite.ts'
import { newEpisode } from '../../support/episodes.ts'
import { eraseAll } from '../../support/erase-all.ts'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeDeletions('PostgreSQL', createServerDatabase)

  describe('deletion of all episodes, with other transactions', () => {
    let test: ServerDatabase
    let store: EpisodeStore

    beforeAll(async () => {
      test = await createServerDatabase()
      store = createEpisodeStore({ database: test.database })
    })
    afterAll(() => test.drop())

    const COPY = `
      insert into episodes select (jsonb_populate_record(
        episodes, jsonb_build_object('id', gen_random_uuid(), 'created_at', now() - interval '1 day')
      )).* from episodes limit 1`

    it('waits for an insert that has begun, and hides it', async () => {
      await store.add(newEpisode())
      const writer = await test.database.pool.connect()
      let isDone = false
      try {
        await writer.query('begin')
        await writer.query(COPY)
        const deleting = store.removeAll('tenant-a').finally(() => {
          isDone = true
        })
        await new Promise((resolve) => setTimeout(resolve, 300))
        expect(isDone).toBe(false)
        await writer.query('commit')
        await deleting
      } finally {
        writer.release()
      }
      expect((await store.list('tenant-a', { limit: 9 })).episodes).toEqual([])
      const [record] = (await eraseAll(test.database)).slice(-1)
      expect(record).toMatchObject({ status: 'finished', deleted: { episodes: 2 } })
    })

    it('orders an insert that begins meanwhile after itself', async () => {
      await store.add(newEpisode())
      const deleter = await test.database.pool.connect()
      const later = newEpisode()
      const clock = () => Date.parse('2020-01-01T00:00:00.000Z')
      const behind = createEpisodeStore({ database: test.database, clock })
      let adding: Promise<void>
      try {
        await deleter.query('begin')
        await deleter.query("select pg_advisory_xact_lock(hashtextextended('erasure tenant-a', 0))")
        adding = behind.add(later)
        await new Promise((resolve) => setTimeout(resolve, 300))
        await deleter.query(
          `update tenant_cutoffs set erased_until = (select max(created_at) from episodes)
          where tenant_id = 'tenant-a'`,
        )
        await deleter.query('commit')
      } finally {
        deleter.release()
      }
      await adding
      expect((await store.list('tenant-a', { limit: 9 })).episodes.map(({ id }) => id)).toEqual([later.id])
    })
  })
})
