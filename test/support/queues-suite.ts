/** @file Test suite of relay, queue and worker together, for any queue backend. */

import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createEpisodeStore, createOutbox, type EpisodeStore, type Outbox } from '#episodes'
import { ServiceError } from '#errors'
import { connectQueues, createSolutionStore, type Queues, type RunningWorker } from '#jobs'
import { NO_TRACER } from '#tracing'
import { isBackground } from '../../src/database/background.ts'
import { takeTurns } from '../../src/jobs/take-turns.ts'
import { newEpisode } from './episodes.ts'
import type { TestDatabase } from './test-database.ts'

export interface TestQueues extends TestDatabase {
  readonly redisUrl?: string
}

export function describeQueues(name: string, open: () => Promise<TestQueues>): void {
  describe(`queues in ${name}`, () => {
    let test: TestQueues
    let store: EpisodeStore
    let outbox: Outbox
    /** Number of finished calls of `index`, by episode. */
    let indexed: Map<string, number>
    let failures: unknown[]
    const opened: (RunningWorker | Queues)[] = []

    beforeAll(async () => {
      test = await open()
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query('truncate episodes, solutions, outbox cascade')
      store = createEpisodeStore({ database: test.database })
      outbox = createOutbox({ database: test.database })
      indexed = new Map()
      failures = []
    })
    afterEach(async () => {
      for (const part of opened.splice(0).reverse()) await part.close()
    })

    function connect(): Queues {
      const logger = pino(
        { level: 'warn' },
        { write: (line: string) => void failures.push(JSON.parse(line)) },
      )
      const { database, redisUrl } = test
      const queues = connectQueues({ database, redisUrl, logger })
      opened.push(queues)
      return queues
    }

    function work(index: EpisodeStore['index'] = store.index): RunningWorker {
      const counted: EpisodeStore['index'] = async (tenantId, id) => {
        await index(tenantId, id)
        indexed.set(id, (indexed.get(id) ?? 0) + 1)
      }
      const worker = connect().startWorker({ store: { index: counted }, outbox })
      opened.push(worker)
      return worker
    }

    async function addEpisodes(count: number): Promise<string[]> {
      const episodes = Array.from({ length: count }, () => newEpisode())
      for (const episode of episodes) await store.add(episode)
      return episodes.map(({ id }) => id)
    }

    const isIndexed = async (id: string) => (await store.get('tenant-a', id)).status === 'indexed'
    const settled = { timeout: 30_000, interval: 50 }

    it('answers a ping', async () => {
      const queues = connect()
      await vi.waitFor(() => queues.ping(), settled)
    })

    it('indexes an episode within a second of its commit', async () => {
      work()
      await addEpisodes(1)
      await vi.waitFor(() => expect(indexed.size).toBe(1), settled)
      const [id] = await addEpisodes(1)
      const committed = performance.now()
      await vi.waitFor(async () => expect(await isIndexed(id!)).toBe(true), { timeout: 5_000, interval: 10 })
      expect(performance.now() - committed).toBeLessThan(1_000)
    })

    it('runs jobs as background work for the database', async () => {
      const seen: boolean[] = []
      work(async (tenantId, id) => {
        seen.push(isBackground())
        await store.index(tenantId, id)
      })
      // The second comes after the worker has waited for a job.
      for (const count of [1, 2]) {
        await addEpisodes(1)
        await vi.waitFor(() => expect(indexed.size).toBe(count), settled)
      }
      expect(seen).toEqual([true, true])
      expect(isBackground()).toBe(false)
    })

    it('does each job once when two workers relay and work at the same time', async () => {
      const ids = await addEpisodes(250)
      work()
      work()
      ids.push(...(await addEpisodes(50)))
      await vi.waitFor(() => expect(indexed.size).toBe(300), settled)
      await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), settled)
      expect(new Set(indexed.values())).toEqual(new Set([1]))
      expect([...indexed.keys()].sort()).toEqual(ids.sort())
      expect(failures).toEqual([])
    })

    it('runs no job again for rows that are relayed again', async () => {
      await addEpisodes(20)
      work()
      await vi.waitFor(() => expect(indexed.size).toBe(20), settled)
      // The state after a relay died between adding the jobs and marking the rows.
      await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), settled)
      await test.database.pool.query('update outbox set relayed_at = null')
      await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), settled)
      const [later] = await addEpisodes(1)
      await vi.waitFor(() => expect(indexed.get(later!)).toBe(1), settled)
      expect(new Set(indexed.values())).toEqual(new Set([1]))
    })

    it('ends the job of a deleted episode without an error', async () => {
      const [gone, kept] = await addEpisodes(2)
      await store.remove('tenant-a', gone!)
      work()
      await vi.waitFor(() => expect(indexed.get(kept!)).toBe(1), settled)
      await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), settled)
      expect(indexed.has(gone!)).toBe(false)
      expect(failures).toEqual([])
    })

    it('retries an error that may pass, and fails an unrecoverable job at once', async () => {
      const [unlucky] = await addEpisodes(1)
      await test.database.pool.query(
        `insert into outbox (tenant_id, kind, payload) values ('tenant-a', 'episode.index', '{"tenantId": 1}')`,
      )
      let attempts = 0
      work(async (tenantId, id) => {
        attempts++
        if (attempts === 1) throw new ServiceError('STORE_UNAVAILABLE', 'unavailable for a moment')
        await store.index(tenantId, id)
      })
      await vi.waitFor(() => expect(indexed.get(unlucky!)).toBe(1), settled)
      expect(attempts).toBe(2)
      await vi.waitFor(() => expect(failures).toHaveLength(2), settled)
      expect(failures).toEqual(
        expect.arrayContaining([
          expect.objectContaining({
            attempts: 1,
            err: expect.objectContaining({ code: 'STORE_UNAVAILABLE' }),
          }),
          expect.objectContaining({
            attempts: 1,
            err: expect.objectContaining({ type: 'UnrecoverableError' }),
          }),
        ]),
      )
    })

    describe('questions in the background', () => {
      /** Adds questions of a tenant; returns their ids. */
      async function ask(tenantId: string, count: number): Promise<string[]> {
        const ids = Array.from({ length: count }, () => randomUUID())
        const solutions = createSolutionStore({ database: test.database })
        for (const id of ids) await solutions.add({ tenantId, id, request: { tenantId } })
        return ids
      }

      const turnsOf = async (tenantId: string, ids: readonly string[]) => {
        const turns = await takeTurns(
          test.database,
          ids.map((solutionId) => ({ tenantId, solutionId })),
        )
        return ids.map((id) => turns.get(id))
      }

      it('are answered in turns: the many of one tenant do not keep those of another waiting', async () => {
        await ask('many', 60)
        await ask('few', 2)
        work()
        await vi.waitFor(async () => expect(await outbox.waiting()).toBe(0), settled)
        const begun: string[] = []
        const worker = connect().startSolutions(
          {
            episodes: store,
            problemOf: (error) => error,
            callWebhook: async () => {},
            async solve(request) {
              begun.push((request as { tenantId: string }).tenantId)
              return {}
            },
          },
          NO_TRACER,
        )
        opened.push(worker)
        await vi.waitFor(() => expect(begun).toHaveLength(62), settled)
        // Two turns each, and what eight lanes change in the order.
        expect(begun.lastIndexOf('few')).toBeLessThan(16)
        expect(failures).toEqual([])
      })

      it('take turns after those that wait, keep them, and begin anew with an empty line', async () => {
        const solutions = createSolutionStore({ database: test.database })
        const finish = async (tenantId: string, ids: readonly string[]) => {
          for (const id of ids) {
            await solutions.begin(tenantId, id)
            await solutions.finish(tenantId, id, 'succeeded', {})
          }
        }
        const first = await ask('a', 6)
        expect(await turnsOf('a', first)).toEqual([1, 2, 3, 4, 5, 6])
        await finish('a', first.slice(0, 3))
        const second = await ask('b', 2)
        expect(await turnsOf('b', second)).toEqual([4, 5])
        const third = await ask('a', 2)
        expect(await turnsOf('a', third)).toEqual([7, 8])
        expect(await turnsOf('a', [...third, ...first])).toEqual([7, 8, 1, 2, 3, 4, 5, 6])
        await finish('a', [...first, ...third])
        await finish('b', second)
        expect(await turnsOf('b', await ask('b', 1))).toEqual([1])
        expect(await turnsOf('b', [randomUUID()])).toEqual([undefined])
      })
    })

    it('finishes the current job before it closes', async () => {
      const [id] = await addEpisodes(1)
      let started = false
      const worker = work(async (tenantId, episodeId) => {
        started = true
        await new Promise((resolve) => setTimeout(resolve, 300))
        await store.index(tenantId, episodeId)
      })
      await vi.waitFor(() => expect(started).toBe(true), settled)
      await Promise.all([worker.close(), worker.close()])
      expect(indexed.get(id!)).toBe(1)
    })
  })
}
