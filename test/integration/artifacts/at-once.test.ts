/** @file Races between several workers, which only a real server can have. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type ArtifactStore,
  type ConsolidationStore,
  createArtifactStore,
  createConsolidationStore,
} from '#artifacts'
import type { Database } from '#database'
import { createEpisodeStore, createOutbox, type EpisodeStore, type NewEpisode, type Outbox } from '#episodes'
import { newArtifact } from '../../support/artifacts.ts'
import { newEpisode } from '../../support/episodes.ts'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'

const WORKERS = 8
const REQUEST = { fingerprint: 'model-1', kinds: ['lrm'], force: false, trigger: 'request' } as const
const PROMOTED = { promoted: true, reason: null }

const atOnce = <T>(work: (worker: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)))

describe.skipIf(servers === null)('at once', () => {
  let test: ServerDatabase
  let artifacts: ArtifactStore
  let consolidations: ConsolidationStore
  let episodes: EpisodeStore
  let outbox: Outbox

  beforeAll(async () => {
    test = await createServerDatabase()
    const { database } = test
    artifacts = createArtifactStore({ database })
    consolidations = createConsolidationStore({ database })
    episodes = createEpisodeStore({ database })
    outbox = createOutbox({ database })
    // Opens all connections before the race begins.
    await atOnce(() => database.pool.query('select pg_sleep(0.1)'))
  })
  afterAll(() => test.drop())
  beforeEach(async () => {
    await test.database.pool.query('truncate episodes, consolidations, outbox cascade')
  })

  /** Adds an ended consolidation. */
  async function endedConsolidation(): Promise<string> {
    const { id } = await consolidations.request(REQUEST)
    await consolidations.finish(id, { status: 'failed', error: 'x' })
    return id
  }

  async function endedConsolidations(count: number): Promise<string[]> {
    const ids: string[] = []
    for (let index = 0; index < count; index++) ids.push(await endedConsolidation())
    return ids
  }

  async function actives(): Promise<number> {
    const { rows } = await test.database.pool.query(
      'select count(*)::integer as n from artifacts where active',
    )
    return rows[0].n
  }

  it('requests lead to one consolidation with one job', async () => {
    for (let round = 0; round < 10; round++) {
      const asked = await atOnce(() => consolidations.request(REQUEST))
      expect(new Set(asked.map(({ id }) => id)).size).toBe(1)
      expect(await outbox.waiting()).toBe(round + 1)
      await consolidations.finish(asked[0]!.id, { status: 'failed', error: 'x' })
    }
  })

  it('requests during the end of a consolidation return an existing one', async () => {
    const asked = await atOnce(async () => {
      const ids: string[] = []
      for (let round = 0; round < 10; round++) {
        const { id } = await consolidations.request(REQUEST)
        await consolidations.finish(id, { status: 'failed', error: 'x' })
        ids.push(id)
      }
      return ids
    })
    const all = await consolidations.list({ limit: 1000 })
    expect(new Set(asked.flat())).toEqual(new Set(all.map(({ id }) => id)))
    expect(await outbox.waiting()).toBe(all.length)
  })

  it('workers on one consolidation record one result of a step and one outcome', async () => {
    const { id } = await consolidations.request(REQUEST)
    const begun = await atOnce(() => consolidations.begin(id))
    expect(begun.map(({ attempts }) => attempts).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(new Set(begun.map(({ startedAt }) => startedAt)).size).toBe(1)
    const seen = await atOnce(async (worker) => {
      await consolidations.finishStep(id, 'snapshot', { worker })
      return consolidations.stepResult(id, 'snapshot')
    })
    expect(new Set(seen.map((result) => JSON.stringify(result))).size).toBe(1)
    const ends = await atOnce(async (worker) => {
      await consolidations.finish(id, { status: 'failed', error: `${worker}` })
      return (await consolidations.get(id)).error
    })
    expect(new Set(ends).size).toBe(1)
  })

  it('a lost job is queued again once', async () => {
    const { id } = await consolidations.request(REQUEST)
    await outbox.markRelayed([id])
    const { pool } = test.database
    await pool.query("update consolidations set created_at = created_at - interval '9 seconds'")
    await pool.query("update outbox set relayed_at = relayed_at - interval '9 seconds'")
    const recovered = await atOnce(() => consolidations.recover(5_000))
    expect(recovered.sort()).toEqual([0, 0, 0, 0, 0, 0, 0, 1])
    expect(await outbox.waiting()).toBe(1)
  })

  it('added artifacts are numbered without gaps, and one consolidation adds one', async () => {
    const ids = await endedConsolidations(WORKERS)
    const added = await atOnce((worker) => artifacts.add(newArtifact(ids[worker]!)))
    expect(added.map(({ version }) => version).sort()).toEqual(
      Array.from({ length: WORKERS }, (_, index) => `lrm-${index + 1}`),
    )
    const one = await endedConsolidation()
    const same = await atOnce((worker) => artifacts.add(newArtifact(one, { bytes: Uint8Array.of(worker) })))
    expect(new Set(same.map(({ id, sha256 }) => `${id} ${sha256}`)).size).toBe(1)
  })

  it('promotions, activations and deletions leave exactly one active version', async () => {
    const [lasting, ...passing] = Array.from({ length: 40 }, () => newEpisode())
    for (const episode of [lasting!, ...passing]) await episodes.add(episode)
    const keys = passing.map(({ tenantId, id }) => ({ tenantId, episodeId: id }))
    const made: string[] = []
    for (const id of await endedConsolidations(WORKERS))
      made.push((await artifacts.add(newArtifact(id, { manifest: { episodes: keys } }))).id)

    await atOnce(async (worker) => {
      await artifacts.settle(made[worker]!, PROMOTED)
      for (let round = 0; round < 20; round++) {
        await artifacts.activate(made[(worker + round) % WORKERS]!, 'model-1', { force: true })
        const doomed = passing[worker * 4 + (round >> 3)]
        if (round % 8 === 0) await episodes.remove('tenant-a', doomed!.id)
      }
    })
    expect(await actives()).toBe(1)
    const listed = await artifacts.list({ limit: 99 })
    expect(listed.every(({ status, stale }) => status === 'promoted' && stale)).toBe(true)
  })

  describe('an artifact that is added while its episode is deleted is stale', () => {
    let episode: NewEpisode
    let consolidationId: string
    beforeEach(async () => {
      episode = newEpisode()
      await episodes.add(episode)
      consolidationId = await endedConsolidation()
    })

    const addTo = (store: ArtifactStore) =>
      store.add(
        newArtifact(consolidationId, {
          manifest: { episodes: [{ tenantId: episode.tenantId, episodeId: episode.id }] },
        }),
      )

    it('when the deletion begins first and commits last', async () => {
      const client = await test.database.pool.connect()
      await client.query('begin')
      await client.query('delete from episodes where id = $1', [episode.id])
      const adding = addTo(artifacts)
      await expect.poll(waitingForLock).toBe(1)
      await client.query('commit')
      client.release()
      expect(await adding).toMatchObject({ stale: true })
    })

    it('when the artifact is added first and commits last', async () => {
      const commit = Promise.withResolvers<void>()
      const adding = addTo(createArtifactStore({ database: committingAfter(commit.promise, test.database) }))
      await expect.poll(inTransaction).toBe(1)
      const removing = episodes.remove('tenant-a', episode.id)
      await expect.poll(waitingForLock).toBe(1)
      commit.resolve()
      expect(await adding).toMatchObject({ stale: false })
      await removing
      expect(await artifacts.list({ limit: 9 })).toMatchObject([{ stale: true }])
    })
  })

  async function waitingForLock(): Promise<number> {
    return sessions("wait_event_type = 'Lock'")
  }

  async function inTransaction(): Promise<number> {
    return sessions("state = 'idle in transaction' and query like '%insert into artifacts%'")
  }

  async function sessions(which: string): Promise<number> {
    const { rows } = await test.database.pool.query(`
      select count(*)::integer as n from pg_stat_activity where datname = current_database() and ${which}`)
    return rows[0].n
  }
})

/** Returns the same database, whose next transaction commits only after `moment` has resolved. */
function committingAfter(moment: Promise<void>, { pool }: Database): Pick<Database, 'pool'> {
  const slow = Object.create(pool, {
    connect: {
      value: async () => {
        const client = await pool.connect()
        const query = client.query.bind(client) as (...call: unknown[]) => Promise<unknown>
        return Object.create(client, {
          query: {
            value: async (...call: unknown[]) => {
              if (call[0] === 'commit') await moment
              return query(...call)
            },
          },
          release: { value: () => client.release() },
        })
      },
    },
  })
  return { pool: slow }
}
