import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createEpisodeStore, createOutbox, type EpisodeStore, type Outbox } from '#episodes'
import { connectQueues } from '#jobs'
import { type Child, startCommand, startProgram } from '../../support/child-process.ts'
import { newCandidate, newEpisode } from '../../support/episodes.ts'
import {
  createServerDatabase,
  emptyRedis,
  type ServerDatabase,
  servers,
} from '../../support/server-database.ts'
import { silent } from '../../support/test-database.ts'

const WORKER = join(import.meta.dirname, '../../../src/worker.ts')
const settled = { timeout: 50_000, interval: 100 }

describe.skipIf(servers === null)('outages', () => {
  let test: ServerDatabase
  let store: EpisodeStore
  let outbox: Outbox

  beforeAll(async () => {
    test = await createServerDatabase()
    // Counts the times that each episode turned from pending to indexed.
    await test.database.pool.query(`
      create table transitions (id uuid not null);
      create function note_transition() returns trigger language plpgsql as $$
        begin insert into transitions values (new.id); return new; end $$;
      create trigger note_transition after update on episodes for each row
        when (old.status = 'pending' and new.status = 'indexed') execute function note_transition()`)
  })
  afterAll(() => test.drop())
  beforeEach(async () => {
    await test.database.pool.query('truncate episodes, outbox, transitions cascade')
    store = createEpisodeStore({ database: test.database })
    outbox = createOutbox({ database: test.database })
  })

  async function pending(): Promise<number> {
    const { rows } = await test.database.pool.query(
      "select count(*)::integer as n from episodes where status = 'pending'",
    )
    return rows[0].n
  }

  async function expectIndexedOnce(ids: readonly string[]): Promise<void> {
    const { rows } = await test.database.pool.query(
      'select id, count(*)::integer as n from transitions group by id',
    )
    expect(rows.map(({ id }) => id).sort()).toEqual([...ids].sort())
    expect(rows.every(({ n }) => n === 1)).toBe(true)
    const { rows: unlabelled } = await test.database.pool.query(
      'select count(*)::integer as n from candidates where label is null',
    )
    expect(unlabelled).toEqual([{ n: 0 }])
  }

  describe('the worker killed with SIGKILL', () => {
    const children: Child[] = []
    afterEach(async () => {
      for (const child of children.splice(0)) await child.kill()
    })

    for (const [name, redis] of [
      ['Redis', 2],
      ['PostgreSQL', null],
    ] as const) {
      it(`ten times under load, with the queue in ${name}: every committed episode is indexed once`, async () => {
        const env = {
          DATABASE_URL: test.url,
          REDIS_URL: redis === null ? '' : await emptyRedis(redis),
          LOG_LEVEL: 'info',
          NIGHT_EVERY_EPISODES: '0',
        }
        const startWorker = async () => {
          const child = startProgram(WORKER, { env })
          children.push(child)
          await child.line('ready')
          return child
        }
        const ids: string[] = []
        let adding = true
        const load = (async () => {
          while (adding) {
            const episode = newEpisode({
              candidates: [newCandidate(), newCandidate({ kind: 'sample', chosen: false })],
            })
            await store.add(episode)
            ids.push(episode.id)
            await delay(10)
          }
        })()
        for (let kill = 0; kill < 10; kill++) {
          const worker = await startWorker()
          await delay(50 + 60 * kill)
          await worker.kill()
        }
        adding = false
        await load
        await startWorker()
        await vi.waitFor(async () => expect(await pending()).toBe(0), settled)
        await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), settled)
        expect(ids.length).toBeGreaterThan(100)
        await expectIndexedOnce(ids)
      }, 120_000)
    }
  })

  describe('Redis unavailable', () => {
    let folder: string
    let port: number
    let redis: Child | undefined

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'redis-'))
      port = await freePort()
    })
    afterEach(async () => {
      await redis?.kill()
      await rm(folder, { recursive: true })
    })

    async function startRedis(): Promise<Child> {
      const args = [
        '--port',
        `${port}`,
        '--bind',
        '127.0.0.1',
        '--dir',
        folder,
        '--appendonly',
        'no',
        '--save',
        '',
      ]
      const child = startCommand('redis-server', args)
      await child.line('Ready to accept connections')
      return child
    }

    it('loses no episode: jobs run when Redis is back, also when Redis has lost its data', async () => {
      const queues = connectQueues({
        database: test.database,
        redisUrl: `redis://127.0.0.1:${port}`,
        logger: silent,
      })
      const worker = queues.startWorker({ store, outbox })
      const ids: string[] = []
      const add = async (count: number) => {
        for (let n = 0; n < count; n++) {
          const episode = newEpisode()
          await store.add(episode)
          ids.push(episode.id)
        }
      }
      try {
        const asked = performance.now()
        await expect(queues.ping()).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' })
        expect(performance.now() - asked).toBeLessThan(10_000)
        await add(30)
        await delay(500)
        expect([await pending(), await outbox.waiting()]).toEqual([30, 30])

        redis = await startRedis()
        await vi.waitFor(async () => expect(await pending()).toBe(0), settled)
        await queues.ping()

        await redis.kill()
        await add(30)
        redis = await startRedis()
        await vi.waitFor(async () => expect(await pending()).toBe(0), settled)
        await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), settled)
        await expectIndexedOnce(ids)
      } finally {
        await worker.close()
        await queues.close()
      }
    }, 120_000)

    it('does not prevent a worker that never connected from closing', async () => {
      const queues = connectQueues({
        database: test.database,
        redisUrl: `redis://127.0.0.1:${port}`,
        logger: silent,
      })
      const worker = queues.startWorker({ store, outbox })
      await delay(200)
      await worker.close()
      await queues.close()
    })
  })
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
