import { describe, expect, it } from 'vitest'
import { createEpisodeStore } from '#episodes'
import { describeEpisodeStore } from '../../support/episode-store-suite.ts'
import { newEpisode } from '../../support/episodes.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeEpisodeStore('PostgreSQL', createServerDatabase)

  it('labels an episode in bounded time, however often its question was asked', async () => {
    const { database, drop } = await createServerDatabase()
    const store = createEpisodeStore({ database })
    await store.add(newEpisode())
    await database.pool.query(`
      create temporary table copies as select * from episodes;
      insert into episodes select (jsonb_populate_record(copies, jsonb_build_object('id', gen_random_uuid()))).*
      from copies, generate_series(1, 4000)`)
    await database.pool.query('analyze episodes')
    const times = []
    for (let n = 0; n < 3; n++) {
      const episode = newEpisode()
      await store.add(episode)
      const started = performance.now()
      await store.index(episode.tenantId, episode.id)
      times.push(performance.now() - started)
    }
    await drop()
    expect(Math.min(...times)).toBeLessThan(500)
  }, 60_000)
})
