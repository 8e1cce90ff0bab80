/** @file The tests of the deletion of all episodes of a tenant, run on the embedded database and on a server. */

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createArtifactStore, createConsolidationStore } from '#artifacts'
import {
  createEpisodeStore,
  createOutbox,
  createTrainingStore,
  type EpisodeStore,
  eraseBite,
  type NewEpisode,
  pruneDeletions,
  pruneEpisodes,
  pruneExcessEpisodes,
  type TrainingStore,
} from '#episodes'
import { readBacklog } from '#jobs'
import { startDeletions } from '../../src/jobs/run-deletions.ts'
import { newArtifact } from './artifacts.ts'
import { newCandidate, newEpisode, thoughtOf } from './episodes.ts'
import { eraseAll } from './erase-all.ts'
import { silent, type TestDatabase } from './test-database.ts'

const NOT_FOUND = expect.objectContaining({ code: 'EPISODE_NOT_FOUND' })
const NO_DELETION = expect.objectContaining({ code: 'DELETION_NOT_FOUND' })
const NOTHING = { episodes: 0, candidates: 0, thoughts: 0, latents: 0, jobs: 0 }

export function describeDeletions(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`deletion of all episodes on ${name}`, () => {
    let test: TestDatabase
    let store: EpisodeStore
    let training: TrainingStore
    let now = Date.parse('2026-03-01T10:00:00.000Z')

    beforeAll(async () => {
      test = await createDatabase()
      store = createEpisodeStore({ database: test.database, clock: () => now })
      training = createTrainingStore({ database: test.database })
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query(
        'truncate episodes, outbox, consolidations, deletions, tenant_cutoffs cascade',
      )
    })

    /** Adds the episodes in order, one millisecond apart. */
    async function addAll(episodes: readonly NewEpisode[], { index = false } = {}): Promise<void> {
      for (const episode of episodes) {
        now += 1
        await store.add(episode)
        if (index) await store.index(episode.tenantId, episode.id)
      }
    }

    async function rowsOf(table: string): Promise<number> {
      const { rows } = await test.database.pool.query(`select count(*)::integer as n from ${table}`)
      return rows[0].n
    }

    const listed = async (tenantId = 'tenant-a') =>
      (await store.list(tenantId, { limit: 100 })).episodes.map(({ id }) => id)

    const steering = async () => {
      const { rows } = await test.database.pool.query('select id from episodes where steers')
      return rows.map(({ id }) => id).sort()
    }

    async function trainedOn(...trained: readonly NewEpisode[]): Promise<string> {
      const database = test.database
      const consolidations = createConsolidationStore({ database })
      const { id } = await consolidations.request({
        fingerprint: 'model-1',
        kinds: ['lrm'],
        force: false,
        trigger: 'request',
      })
      await consolidations.finish(id, { status: 'failed', error: 'x' })
      const episodes = trained.map(({ tenantId, id: episodeId }) => ({ tenantId, episodeId }))
      return (await createArtifactStore({ database }).add(newArtifact(id, { manifest: { episodes } }))).id
    }

    const thinking = (over: Partial<NewEpisode> = {}) =>
      newEpisode({
        candidates: [
          newCandidate({ thought: thoughtOf(1) }),
          newCandidate({ kind: 'sample', chosen: false, thought: thoughtOf(2) }),
        ],
        ...over,
      })

    it('hides every episode from every reader at once, and no later one', async () => {
      const old = [1, 2, 3].map((seed) => thinking({ seed, question: 'old?' }))
      const theirs = thinking({ tenantId: 'tenant-b', question: 'old?' })
      await addAll([...old, theirs], { index: true })
      await store.label('tenant-a', old[0]!.id, { correct: true })
      const { nextCursor } = await store.list('tenant-a', { limit: 1 })
      expect(await store.removeAll('tenant-a')).toMatchObject({ status: 'queued', deleted: NOTHING })
      // Stored in the millisecond of the newest hidden one.
      const later = thinking({ question: 'new?' })
      await store.add(later)
      await store.index('tenant-a', later.id)

      expect(await rowsOf('episodes')).toBe(5)
      expect(await listed()).toEqual([later.id])
      expect((await store.list('tenant-a', { limit: 9, cursor: nextCursor! })).episodes).toEqual([])
      for (const { id } of old) {
        await expect(store.get('tenant-a', id)).rejects.toEqual(NOT_FOUND)
        await expect(store.label('tenant-a', id, { correct: false })).rejects.toEqual(NOT_FOUND)
        await expect(store.remove('tenant-a', id)).rejects.toEqual(NOT_FOUND)
      }
      const near = { fingerprint: 'model-1', embedding: old[0]!.embedding, topK: 10, minSimilarity: -1 }
      for (const indexed of [false, true]) {
        const reader = createEpisodeStore({
          database: test.database,
          vectorIndexes: { has: () => indexed && test.database.kind === 'server' },
        })
        const found = await reader.nearest({ tenantId: 'tenant-a', ...near })
        expect(found.map(({ episodeId }) => episodeId)).toEqual([later.id])
      }

      const keys = [...old, later, theirs].map(({ tenantId, id }) => ({ tenantId, episodeId: id }))
      const idsOf = async (rows: AsyncIterable<{ readonly episodeId: string }>) => [
        ...new Set((await Array.fromAsync(rows)).map(({ episodeId }) => episodeId)),
      ]
      const kept = [later.id, theirs.id]
      expect(await idsOf(training.askedQuestions('model-1', keys))).toEqual(kept)
      expect(await idsOf(training.labelledThoughts('model-1', keys))).toEqual(kept)
      expect(await idsOf(training.latentPairs('model-1', keys))).toEqual(kept)
      for (const material of ['thoughts', 'latents', 'asked'] as const) {
        const request = { fingerprint: 'model-1', material, maxTenantShare: 1 }
        const { episodes, counts } = await training.snapshot(request)
        expect(episodes.map(({ episodeId }) => episodeId).sort()).toEqual(kept.toSorted())
        expect(counts).toMatchObject({ episodes: 2, kept: 2 })
      }
      expect(
        await training.heldOutQuestions('model-1', keys, { limit: 9, rules: newEpisode() }),
      ).toMatchObject([
        { tenantId: 'tenant-a', question: 'new?', episodeIds: [later.id] },
        { tenantId: 'tenant-b', question: 'old?', reference: null, episodeIds: [theirs.id] },
      ])
      const uncertain = await training.uncertainQuestions('model-1', { since: null, perTenant: 9 })
      expect(uncertain.map(({ question }) => question).sort()).toEqual(['new?', 'old?'])
      expect(await training.countSince('model-1', null)).toBe(2)
    })

    it('erases in bites, newest first, and records what is gone', async () => {
      const episodes = [1, 2, 3, 4, 5].map((seed) => thinking({ seed, latents: null }))
      const withLatents = newEpisode()
      const theirs = thinking({ tenantId: 'tenant-b' })
      await addAll([theirs, withLatents, ...episodes])
      const outbox = createOutbox({ database: test.database })
      await outbox.markRelayed([(await outbox.claim(1, 1_000))[0]!.id])
      const trained = [await trainedOn(episodes[0]!, withLatents), await trainedOn(episodes[4]!)].sort()
      const untouched = await trainedOn(theirs)

      const { id, requestedAt } = await store.removeAll('tenant-a')
      const records = await eraseAll(test.database, 4)
      expect(records.map(({ status, deleted }) => [status, deleted.episodes])).toEqual([
        ['running', 4],
        ['finished', 6],
      ])
      const record = await store.deletion('tenant-a', id)
      expect(record).toEqual({
        id,
        requestedAt,
        status: 'finished',
        startedAt: expect.any(String),
        finishedAt: expect.any(String),
        deleted: { episodes: 6, candidates: 11, thoughts: 10, latents: 1, jobs: 6 },
        withdrawn: 0,
        artifacts: trained,
      })
      expect(records.at(-1)).toEqual(record)
      const tables = ['episodes', 'candidates', 'candidate_thoughts', 'episode_latents']
      expect(await Promise.all(tables.map(rowsOf))).toEqual([1, 2, 2, 1])
      expect(await rowsOf("outbox where kind = 'episode.index'")).toBe(1)
      const artifacts = await createArtifactStore({ database: test.database }).list({ limit: 9 })
      expect(
        artifacts
          .filter(({ stale }) => stale)
          .map((artifact) => artifact.id)
          .sort(),
      ).toEqual(trained)
      expect(artifacts.map((artifact) => artifact.id)).toContain(untouched)
    })

    it('does a bite again as a whole when its transaction was lost', async () => {
      await addAll([1, 2, 3].map((seed) => thinking({ seed })))
      const { id } = await store.removeAll('tenant-a')
      const pool = {
        async connect() {
          const client = await test.database.pool.connect()
          const query = client.query.bind(client) as (sql: string, values?: unknown[]) => Promise<unknown>
          const dying = (sql: string, values?: unknown[]) =>
            sql.includes('update deletions') ? Promise.reject(new Error('killed')) : query(sql, values)
          return new Proxy(client, {
            get: (target, key) => (key === 'query' ? dying : Reflect.get(target, key, target)),
          })
        },
      }
      await expect(eraseBite({ pool: pool as never }, 2)).rejects.toThrow('killed')
      expect(await rowsOf('episodes')).toBe(3)
      expect(await store.deletion('tenant-a', id)).toMatchObject({ status: 'queued', deleted: NOTHING })
      await eraseBite(test.database, 2)
      await expect(eraseBite({ pool: pool as never }, 2)).rejects.toThrow('killed')
      await eraseAll(test.database, 2)
      expect(await store.deletion('tenant-a', id)).toMatchObject({
        status: 'finished',
        deleted: { episodes: 3, candidates: 6, thoughts: 6, latents: 3, jobs: 3 },
      })
    })

    it('reports how long it has erased nothing', async () => {
      await addAll([1, 2, 3].map((seed) => thinking({ seed })))
      const idle = async () => (await readBacklog(test.database)).deletionIdleSeconds
      expect(await idle()).toBe(0)
      await store.removeAll('tenant-a')
      await test.database.pool.query("update deletions set requested_at = now() - interval '400 seconds'")
      expect(await idle()).toBeCloseTo(400, -1)
      await eraseBite(test.database, 2)
      expect(await idle()).toBeLessThan(60)
      await test.database.pool.query("update deletions set last_bite_at = now() - interval '300 seconds'")
      expect(await idle()).toBeCloseTo(300, -1)
      await eraseAll(test.database, 2)
      expect(await idle()).toBe(0)
    })

    it('is done once by several workers', async () => {
      await addAll(Array.from({ length: 25 }, (_, seed) => thinking({ seed })))
      const { id } = await store.removeAll('tenant-a')
      await Promise.all([1, 2, 3].map(() => eraseAll(test.database, 3)))
      await eraseAll(test.database, 3)
      expect(await store.deletion('tenant-a', id)).toMatchObject({
        status: 'finished',
        deleted: { episodes: 25, candidates: 50, thoughts: 50, latents: 25, jobs: 25 },
      })
    })

    it('takes the episodes stored since when it is asked for again before its end', async () => {
      await addAll([newEpisode(), newEpisode(), newEpisode()])
      const first = await store.removeAll('tenant-a')
      await eraseBite(test.database, 2)
      await addAll([newEpisode()])
      expect(await listed()).toHaveLength(1)
      expect(await store.removeAll('tenant-a')).toMatchObject({
        id: first.id,
        requestedAt: first.requestedAt,
        status: 'running',
        deleted: { episodes: 2 },
      })
      expect(await listed()).toEqual([])
      await eraseAll(test.database)
      expect(await store.deletion('tenant-a', first.id)).toMatchObject({ deleted: { episodes: 4 } })

      const second = await store.removeAll('tenant-a')
      expect(second.id).not.toBe(first.id)
      await eraseAll(test.database)
      expect(await store.deletion('tenant-a', second.id)).toMatchObject({
        status: 'finished',
        deleted: NOTHING,
      })
    })

    it('erases an episode of a clock that is ahead, and keeps a later one of a right clock', async () => {
      now += 3_600_000
      const ahead = newEpisode()
      await store.add(ahead)
      now -= 3_600_000
      await store.removeAll('tenant-a')
      const later = newEpisode()
      await addAll([later])
      expect(await listed()).toEqual([later.id])
      await eraseAll(test.database)
      expect(await rowsOf('episodes')).toBe(1)
      expect(await listed()).toEqual([later.id])
    })

    it('takes turns between tenants', async () => {
      for (const tenantId of ['tenant-a', 'tenant-b']) {
        await addAll([1, 2, 3].map((seed) => newEpisode({ seed, tenantId })))
        await store.removeAll(tenantId)
      }
      const order = (await eraseAll(test.database, 1)).map(({ id }) => id)
      expect(order).toHaveLength(8)
      expect(new Set(order.slice(0, 2)).size).toBe(2)
      expect(order.slice(0, 6)).toEqual([0, 2, 4].flatMap(() => order.slice(0, 2)))
    })

    it('withdraws at once what is stored later and was led by a hidden episode, and counts it', async () => {
      const [first, second] = [newEpisode({ question: 'a?' }), newEpisode({ question: 'b?' })]
      await addAll([first, second])
      const { id } = await store.removeAll('tenant-a')
      const led = newEpisode({ question: 'c?', ancestors: [first.id, second.id] })
      const ledByLed = newEpisode({ question: 'd?', ancestors: [led.id] })
      const confirmed = newEpisode({ question: 'e?', ancestors: [second.id] })
      const free = newEpisode({ question: 'f?' })
      await addAll([led, ledByLed, confirmed, free])
      await store.label('tenant-a', confirmed.id, { correct: true })
      const hidden = [first.id, second.id]
      expect(await steering()).toEqual([...hidden, confirmed.id, free.id].sort())
      await store.label('tenant-a', free.id, { correct: true })
      await eraseAll(test.database, 1)
      expect(await steering()).toEqual([confirmed.id, free.id].sort())
      expect(await store.deletion('tenant-a', id)).toMatchObject({ withdrawn: 1 })
    })

    it('does not let a night store the question of an erased episode again', async () => {
      const asked = newEpisode({ question: 'secret?' })
      const sampled = (question: string) => newEpisode({ question, origin: 'night' })
      await addAll([sampled('secret?'), asked])
      await store.removeAll('tenant-a')
      const [dropped, kept] = [sampled('secret?'), sampled('open?')]
      await addAll([dropped, newEpisode({ question: 'open?' }), kept])
      await eraseAll(test.database)
      await expect(store.get('tenant-a', dropped.id)).rejects.toEqual(NOT_FOUND)
      expect(await store.get('tenant-a', kept.id)).toMatchObject({ question: 'open?' })
      expect([await rowsOf('candidates'), await rowsOf('outbox')]).toEqual([2, 2])
    })

    it('erases what would expire before its turn', async () => {
      const episodes = [newEpisode(), newEpisode(), newEpisode()]
      await addAll(episodes)
      const trained = await trainedOn(...episodes)
      const { id } = await store.removeAll('tenant-a')
      expect(await pruneEpisodes(test.database, new Date(now + 1_000))).toBe(0)
      expect(await pruneExcessEpisodes(test.database, 1)).toBe(0)
      await eraseAll(test.database)
      expect(await store.deletion('tenant-a', id)).toMatchObject({ deleted: { episodes: 3 } })
      expect(await createArtifactStore({ database: test.database }).list({ limit: 1 })).toMatchObject([
        { id: trained, erasedEpisodes: 3, expiredEpisodes: 0 },
      ])
    })

    it('has a record that only its tenant can read', async () => {
      const { id } = await store.removeAll('tenant-a')
      expect(await store.deletion('tenant-a', id)).toMatchObject({ id, status: 'queued', startedAt: null })
      for (const [tenantId, wanted] of [
        ['tenant-b', id],
        ['tenant-a', 'abc'],
        ['tenant-a', '00000000-0000-4000-8000-000000000000'],
      ] as const)
        await expect(store.deletion(tenantId, wanted)).rejects.toEqual(NO_DELETION)
    })

    it('keeps its record for a year after its end, and its cut-off for ever', async () => {
      await addAll([newEpisode()])
      const { id } = await store.removeAll('tenant-a')
      const { pool } = test.database
      await pool.query("update deletions set requested_at = now() - interval '400 days'")
      await pruneDeletions(test.database)
      await eraseAll(test.database)
      await pruneDeletions(test.database)
      expect(await store.deletion('tenant-a', id)).toMatchObject({ status: 'finished' })
      await pool.query("update deletions set finished_at = now() - interval '366 days'")
      await pruneDeletions(test.database)
      await expect(store.deletion('tenant-a', id)).rejects.toEqual(NO_DELETION)
      expect(await rowsOf('tenant_cutoffs')).toBe(1)
    })

    it('is done by a worker, which continues what another has left', async () => {
      await addAll(Array.from({ length: 5 }, (_, seed) => newEpisode({ seed })))
      const { id } = await store.removeAll('tenant-a')
      await eraseBite(test.database, 2)
      const worker = startDeletions({ database: test.database, logger: silent })
      try {
        await vi.waitFor(
          async () =>
            expect(await store.deletion('tenant-a', id)).toMatchObject({
              status: 'finished',
              deleted: { episodes: 5 },
            }),
          10_000,
        )
      } finally {
        await worker.close()
      }
      expect(await rowsOf('episodes')).toBe(0)
    })
  })
}
