/** @file Labels, deletions and exclusions of one tenant at the same time, which only a real server can have. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  createEpisodeStore,
  createTrainingStore,
  type EpisodeStore,
  pruneEpisodes,
  pruneExcessEpisodes,
} from '#episodes'
import { newEpisode } from '../../support/episodes.ts'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe.skipIf(servers === null)('steering of one tenant', () => {
  let test: ServerDatabase
  let store: EpisodeStore
  const exclude = () =>
    createTrainingStore({ database: test.database }).excludeDominated('model-1', ['tenant-a'])

  beforeAll(async () => {
    test = await createServerDatabase()
    store = createEpisodeStore({ database: test.database })
  })
  afterAll(() => test.drop())
  beforeEach(() => test.database.pool.query('truncate episodes cascade'))

  async function add(over: Parameters<typeof newEpisode>[0] = {}): Promise<string> {
    const episode = newEpisode(over)
    await store.add(episode)
    await store.index('tenant-a', episode.id)
    return episode.id
  }

  it.each(['refuted', 'deleted'])(
    'comes back when the better one is %s while it is excluded',
    async (how) => {
      const worse = await add({ reward: -0.3 })
      const better = await add({ reward: -0.01 })
      const holder = await test.database.pool.connect()
      let excluding: Promise<number>
      let changing: Promise<unknown>
      try {
        await holder.query('begin')
        await holder.query('select from episodes where id = $1 for update', [worse])
        excluding = exclude()
        await pause(300)
        changing =
          how === 'refuted'
            ? store.label('tenant-a', better, { correct: false })
            : store.remove('tenant-a', better)
        await Promise.race([changing, pause(300)])
        await holder.query('commit')
      } finally {
        holder.release()
      }
      await Promise.all([excluding, changing])
      expect((await store.get('tenant-a', worse)).steering).toBe('steers')
    },
  )

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['a deletion', (id) => store.remove('tenant-a', id)],
    ['an exclusion', exclude],
    ['a deletion by age', () => pruneEpisodes(test.database, new Date(Date.now() + 60_000))],
    ['a deletion beyond the capacity', () => pruneExcessEpisodes(test.database, 1)],
  ])('does not deadlock: %s waits for a label', async (_what, work) => {
    const [id] = [await add(), await add()]
    const labelling = await test.database.pool.connect()
    let working: Promise<unknown>
    let isDone = false
    try {
      await labelling.query('begin')
      await labelling.query("select pg_advisory_xact_lock(hashtextextended('steering tenant-a', 0))")
      working = work(id).then(() => {
        isDone = true
      })
      await pause(300)
      expect(isDone).toBe(false)
      await labelling.query('commit')
    } finally {
      labelling.release()
    }
    await working
  })

  it('leaves the other episodes of a question alone while its confirmed answer stays', async () => {
    const wrong = await add({ answer: '13' })
    const versions = async () =>
      (await test.database.pool.query('select id, xmin::text from episodes order by id')).rows
    await add({ reference: '12' })
    expect((await store.get('tenant-a', wrong)).steering).toBe('superseded')
    const before = await versions()
    const [again, another] = [await add({ reference: '12' }), await add()]
    expect((await versions()).filter(({ id }) => id !== again && id !== another)).toEqual(before)
  })

  it('reads as much for a label, however often the question was asked', async () => {
    await add({ reference: '12' })
    const { pool } = test.database
    await pool.query('alter table episodes disable trigger user')
    await pool.query(`
      create temporary table copies as select * from episodes;
      insert into episodes select (jsonb_populate_record(
        copies, jsonb_build_object('id', gen_random_uuid(), 'verdict', null)
      )).* from copies, generate_series(1, 4000);
      alter table episodes enable trigger user;
      analyze episodes`)
    const id = await add({ reference: '12' })
    const { rows } = await pool.query(
      `explain (analyze, buffers, format json) select refresh_steering('tenant-a', '${id}')`,
    )
    expect(rows[0]['QUERY PLAN'][0].Plan['Shared Hit Blocks']).toBeLessThan(500)
  })
})
