/** @file The tests of episode store and outbox, run on the embedded database and on a server. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  createEmbeddingProjections,
  createEpisodeStore,
  createOutbox,
  type EpisodeFilter,
  type EpisodeStore,
  type NewEpisode,
  type Outbox,
  projectBite,
  pruneEpisodes,
  pruneExcessEpisodes,
} from '#episodes'
import { createRandomProjection, dot, fromFloat16, toFloat16 } from '#tensor'
import { clusteredVector, newCandidate, newEpisode, thoughtOf, unitVector } from './episodes.ts'
import { eraseAll } from './erase-all.ts'
import type { TestDatabase } from './test-database.ts'

const NOWHERE = '00000000-0000-4000-8000-000000000000'
const NOT_FOUND = expect.objectContaining({ code: 'EPISODE_NOT_FOUND' })

/** Returns a unit vector of a cosine with another. */
function nearVector(vector: Float32Array, cosine: number): Float32Array {
  const other = unitVector(99, vector.length)
  const along = dot(other, vector)
  const across = other.map((value, index) => value - along * vector[index]!)
  const scale = Math.sqrt((1 - cosine ** 2) / dot(across, across))
  return vector.map((value, index) => cosine * value + scale * across[index]!)
}

export function describeEpisodeStore(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`episode store on ${name}`, () => {
    let test: TestDatabase
    let store: EpisodeStore
    let outbox: Outbox
    let now = Date.parse('2026-03-01T10:00:00.000Z')

    beforeAll(async () => {
      test = await createDatabase()
      store = createEpisodeStore({ database: test.database, clock: () => now })
      outbox = createOutbox({ database: test.database })
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query('truncate episodes, outbox, deletions, tenant_cutoffs cascade')
    })

    async function rowsOf(table: string): Promise<number> {
      const { rows } = await test.database.pool.query(`select count(*)::integer as n from ${table}`)
      return rows[0].n
    }

    async function addAll(episodes: readonly NewEpisode[]): Promise<void> {
      for (const episode of episodes) await store.add(episode)
    }

    describe('add and get', () => {
      it('returns an episode as it was added', async () => {
        const episode = newEpisode({
          seed: Number.MAX_SAFE_INTEGER,
          reference: '12',
          weaverVersion: 'weaver-2',
          lrmVersion: null,
          judgeVersion: null,
          reward: -1 / 3,
          candidates: [
            newCandidate({
              chosen: false,
              answer: null,
              reward: -0.1 - 0.2,
              rewardTerms: {},
              logProbability: null,
              selfCertainty: null,
            }),
            newCandidate({
              kind: 'regeneration',
              thought: thoughtOf(1),
              text: 'Zwölf — "12" \\ \n',
              tokens: [],
            }),
          ],
        })
        await store.add(episode)
        const { tenantId, embedding, latents, answerRules: _, ...kept } = episode
        expect(await store.get(tenantId, episode.id)).toEqual({
          ...kept,
          createdAt: '2026-03-01T10:00:00.000Z',
          status: 'pending',
          steering: 'steers',
          label: null,
          labelSource: null,
          candidates: episode.candidates.map(({ meetsAdmission: _, thought: __, ...candidate }) => ({
            ...candidate,
            label: null,
            labelSource: null,
          })),
        })
      })

      it('replaces characters that Postgres cannot store', async () => {
        const text = 'a\0b\ud800c'
        const episode = newEpisode({ reasoning: text, candidates: [newCandidate({ text, answer: 'x\0' })] })
        await store.add(episode)
        const stored = await store.get('tenant-a', episode.id)
        expect(stored.reasoning).toBe('a\ufffdb\ufffdc')
        expect(stored.candidates[0]).toMatchObject({ text: 'a\ufffdb\ufffdc', answer: 'x\ufffd' })
      })

      it('keeps the first of two episodes with one id, and one outbox row', async () => {
        const episode = newEpisode()
        await store.add(episode)
        await store.add({ ...episode, answer: '13' })
        expect(await store.get('tenant-a', episode.id)).toMatchObject({ answer: '12' })
        expect([await rowsOf('episodes'), await rowsOf('candidates'), await rowsOf('outbox')]).toEqual([
          1, 1, 1,
        ])
      })

      it('stores nothing when a part cannot be stored', async () => {
        const thought = thoughtOf(1)
        const twoChosen = newEpisode({ candidates: [newCandidate({ thought }), newCandidate({ thought })] })
        await expect(store.add(twoChosen)).rejects.toThrow('candidates_chosen')
        const tables = ['episodes', 'candidates', 'candidate_thoughts', 'episode_latents', 'outbox']
        expect(await Promise.all(tables.map(rowsOf))).toEqual([0, 0, 0, 0, 0])
      })

      it('refuses latents and thoughts that do not fill their shape', async () => {
        const latents = { data: new Float32Array(5), length: 2, width: 3 }
        const episode = newEpisode({ latents: { zBase: latents, zStar: latents } })
        await expect(store.add(episode)).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' })
        const thought = { data: new Float32Array(5), layers: 2, width: 3 }
        const thinking = newEpisode({ candidates: [newCandidate({ thought })] })
        await expect(store.add(thinking)).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' })
      })

      it('throws EPISODE_NOT_FOUND for an unknown id and for text that is no id', async () => {
        await expect(store.get('tenant-a', NOWHERE)).rejects.toEqual(NOT_FOUND)
        for (const id of ['', 'abc', `${NOWHERE}0`, "'; drop table episodes", NOWHERE.replaceAll('-', '')]) {
          await expect(store.get('tenant-a', id)).rejects.toEqual(NOT_FOUND)
          await expect(store.remove('tenant-a', id)).rejects.toEqual(NOT_FOUND)
          await expect(store.index('tenant-a', id)).rejects.toEqual(NOT_FOUND)
          await expect(store.label('tenant-a', id, { correct: true })).rejects.toEqual(NOT_FOUND)
        }
      })
    })

    describe('list', () => {
      async function pages(limit: number): Promise<string[][]> {
        const all: string[][] = []
        let cursor: string | undefined
        do {
          const page = await store.list('tenant-a', cursor === undefined ? { limit } : { limit, cursor })
          all.push(page.episodes.map(({ id }) => id))
          cursor = page.nextCursor ?? undefined
        } while (cursor !== undefined)
        return all
      }

      it('pages newest first, each episode once, also episodes of one millisecond', async () => {
        const episodes = Array.from({ length: 7 }, () => newEpisode())
        for (const [index, episode] of episodes.entries()) {
          now += index < 3 ? 0 : 1
          await store.add(episode)
        }
        const sameMoment = episodes.slice(0, 3).map(({ id }) => id)
        const later = episodes.slice(3).map(({ id }) => id)
        const expected = [...later.reverse(), ...sameMoment.sort().reverse()]
        for (const limit of [1, 2, 3, 7]) {
          const found = await pages(limit)
          expect(found.flat()).toEqual(expected)
          expect(found).toHaveLength(Math.ceil(7 / limit))
        }
        expect(await pages(100)).toEqual([expected])
      })

      it('continues after the last row when newer episodes are added and that row is removed', async () => {
        const [old, middle, young] = [newEpisode(), newEpisode(), newEpisode()]
        for (const episode of [old, middle, young]) {
          now += 1
          await store.add(episode)
        }
        const first = await store.list('tenant-a', { limit: 2 })
        now += 1
        await store.add(newEpisode())
        await store.remove('tenant-a', middle.id)
        const second = await store.list('tenant-a', { limit: 2, cursor: first.nextCursor! })
        expect(second).toMatchObject({ episodes: [{ id: old.id }], nextCursor: null })
      })

      it('leaves out what the filters exclude, page by page', async () => {
        const parent = newEpisode({ question: '100 % of A_B?', reward: -0.5, strategy: 'greedy' })
        const child = newEpisode({
          question: 'What is 3 x 4?',
          answer: '15',
          admitted: false,
          ancestors: [parent.id],
        })
        const other = newEpisode({ question: 'What is a_b?', reward: 0 })
        for (const episode of [parent, child, other]) {
          now += 1
          await store.add(episode)
        }
        await store.label('tenant-a', child.id, { correct: false })
        await store.label('tenant-a', other.id, { correct: true })
        const idsOf = async (filter: EpisodeFilter) => {
          const { episodes, nextCursor } = await store.list('tenant-a', { limit: 10, filter })
          expect(nextCursor).toBeNull()
          const one = await store.list('tenant-a', { limit: 1, filter })
          expect(one.episodes).toEqual(episodes.slice(0, 1))
          expect(one.nextCursor !== null).toBe(episodes.length > 1)
          return episodes.map(({ id }) => id)
        }
        expect(await idsOf({})).toEqual([other.id, child.id, parent.id])
        expect(await idsOf({ question: 'a_b' })).toEqual([other.id, parent.id])
        expect(await idsOf({ question: '%' })).toEqual([parent.id])
        expect(await idsOf({ question: '\\' })).toEqual([])
        expect(await idsOf({ question: 'a.b' })).toEqual([])
        expect(await idsOf({ question: '***:(' })).toEqual([])
        expect(await idsOf({ answer: '15' })).toEqual([child.id])
        expect(await idsOf({ label: 'right' })).toEqual([other.id])
        expect(await idsOf({ label: 'wrong' })).toEqual([child.id])
        expect(await idsOf({ label: 'unknown' })).toEqual([parent.id])
        expect(await idsOf({ minReward: -0.125 })).toEqual([other.id, child.id])
        expect(await idsOf({ minReward: -0.6, maxReward: -0.1 })).toEqual([child.id, parent.id])
        expect(await idsOf({ steers: true })).toEqual([other.id, parent.id])
        expect(await idsOf({ steers: false })).toEqual([child.id])
        expect(await idsOf({ strategy: 'greedy' })).toEqual([parent.id])
        expect(await idsOf({ ledBy: parent.id })).toEqual([child.id])
        expect(await idsOf({ ledBy: 'no id' })).toEqual([])
        expect(await idsOf({ question: 'what', label: 'right', steers: true })).toEqual([other.id])
      })

      it('finds a text in about the same time, however much of a question looks like it', async () => {
        await addAll(Array.from({ length: 30 }, () => newEpisode({ question: 'a'.repeat(16_384) })))
        const msOf = async (question: string) => {
          const startedAt = performance.now()
          expect((await store.list('tenant-a', { limit: 10, filter: { question } })).episodes).toEqual([])
          return performance.now() - startedAt
        }
        const fastest = async (question: string) => {
          const times: number[] = []
          for (let run = 0; run < 3; run++) times.push(await msOf(question))
          return Math.min(...times)
        }
        const plain = await fastest('b')
        const alike = await fastest(`${'a'.repeat(255)}b`)
        expect(alike).toBeLessThan(10 * plain + 20)
      })

      it('finds episodes by id, in the order of the ids', async () => {
        const [one, two] = [newEpisode(), newEpisode()]
        await addAll([one, two])
        const found = await store.find('tenant-a', [two.id, NOWHERE, 'no id', one.id])
        expect(found.map(({ id }) => id)).toEqual([two.id, one.id])
        expect(await store.find('tenant-b', [one.id])).toEqual([])
      })

      it('returns one empty page for a tenant without episodes', async () => {
        expect(await store.list('tenant-a', { limit: 5 })).toEqual({ episodes: [], nextCursor: null })
      })

      it('refuses a cursor that it did not create', async () => {
        const forged = (text: string) => Buffer.from(text).toString('base64url')
        for (const cursor of [
          '',
          'x',
          forged('{}'),
          forged('2026-02-30'),
          forged(`2026-99-01T10:00:00.000Z ${NOWHERE}`),
          forged(`2026-03-01T10:00:00.000Z ${'z'.repeat(36)}`),
        ]) {
          await expect(store.list('tenant-a', { limit: 5, cursor })).rejects.toMatchObject({
            code: 'REQUEST_INVALID',
            faults: [{ pointer: '/cursor' }],
          })
        }
      })
    })

    describe('recollect', () => {
      const asked = newEpisode({ reference: null })
      const ask = {
        tenantId: 'tenant-a',
        fingerprint: 'model-1',
        embedding: asked.embedding,
        topK: 0,
        minSimilarity: 0.5,
        question: asked.question,
        answerRules: 'answers-1',
      }
      const answering = (answer: string, over: Partial<NewEpisode> = {}) =>
        newEpisode({ answer, reference: null, candidates: [newCandidate({ answer })], ...over })
      const refuted = async (over: Partial<typeof ask> & { readonly exclude?: readonly string[] } = {}) =>
        (await store.recollect({ ...ask, ...over })).refuted.map(({ answer }) => answer).sort()
      /** Adds an episode of a later time. */
      async function addLater(episode: NewEpisode): Promise<NewEpisode> {
        now += 1_000
        await store.add(episode)
        return episode
      }
      const call = (episode: NewEpisode, correct: boolean) =>
        store.label(episode.tenantId, episode.id, { correct })

      it('returns the neighbours, and the answers that feedback calls wrong', async () => {
        const [first, other] = [await addLater(answering('11')), await addLater(answering('12'))]
        const silent = await addLater(answering('13', { latents: null, admitted: false }))
        expect(await refuted()).toEqual([])
        await call(first, false)
        await store.label('tenant-a', silent.id, { answer: '12' })
        const { neighbours, refuted: found } = await store.recollect({ ...ask, topK: 3 })
        expect(neighbours).toEqual(await store.nearest({ ...ask, topK: 3 }))
        expect(neighbours.map(({ episodeId }) => episodeId)).toEqual([other.id])
        expect(found.toSorted((one, another) => Number(one.answer) - Number(another.answer))).toEqual([
          { answer: '11', episodeId: first.id },
          { answer: '13', episodeId: silent.id },
        ])
      })

      it('returns an answer once, by its newest episode', async () => {
        const [old, young] = [await addLater(answering('11')), await addLater(answering('11'))]
        await call(young, false)
        await call(old, false)
        const { refuted: found } = await store.recollect(ask)
        expect(found).toEqual([{ answer: '11', episodeId: young.id }])
      })

      it('takes back what is called right: in place, or on a newer episode; an older one does not', async () => {
        const [old, young] = [await addLater(answering('11')), await addLater(answering('11'))]
        await call(old, false)
        expect(await refuted()).toEqual(['11'])
        await call(old, true)
        expect(await refuted()).toEqual([])
        await call(old, false)
        await call(young, true)
        expect(await refuted()).toEqual([])
        await call(young, false)
        await call(old, true)
        expect(await refuted()).toEqual(['11'])
        // A caller writes the answer, under a newer episode that gave another.
        await store.label('tenant-a', (await addLater(answering('12'))).id, { answer: '11' })
        expect(await refuted()).toEqual(['12'])
      })

      it('takes back what is called right under the text of the asked question', async () => {
        await call(await addLater(answering('11', { question: 'What is three times four?' })), false)
        expect(await refuted()).toEqual(['11'])
        const confirmed = await addLater(answering('11'))
        await call(confirmed, true)
        expect(await refuted()).toEqual([])
        expect(await refuted({ exclude: [confirmed.id] })).toEqual(['11'])
      })

      it('believes feedback before a reference, whichever is newer', async () => {
        const confirmed = await addLater(answering('11'))
        const contradicted = await addLater(answering('11', { reference: '12' }))
        await store.index('tenant-a', contradicted.id)
        expect(await refuted()).toEqual(['11'])
        await call(confirmed, true)
        expect(await refuted()).toEqual([])

        await call(await addLater(answering('13')), false)
        await store.index('tenant-a', (await addLater(answering('13', { reference: '13' }))).id)
        expect(await refuted()).toEqual(['13'])
      })

      it('takes no label that no caller gave', async () => {
        const samples = ['11', '12', '12'].map((answer, index) =>
          newCandidate({ kind: 'sample', answer, chosen: index === 0 }),
        )
        const episode = await addLater(answering('11', { candidates: samples }))
        await store.index('tenant-a', episode.id)
        expect(await store.get('tenant-a', episode.id)).toMatchObject({
          label: false,
          labelSource: 'majority',
        })
        expect(await refuted()).toEqual([])
      })

      it.each<[string, Partial<NewEpisode>]>([
        ['another tenant', { tenantId: 'tenant-b' }],
        ['another model', { fingerprint: 'model-2' }],
        ['other rules', { answerRules: 'answers-0' }],
        ['another question', { embedding: unitVector(2, 8) }],
        ['a question that is only similar', { embedding: nearVector(asked.embedding, 0.998) }],
      ])('leaves out those of %s', async (_, over) => {
        await call(await addLater(answering('11', over)), false)
        await call(
          await addLater(answering('12', { embedding: nearVector(asked.embedding, 0.9995), question: 'b?' })),
          false,
        )
        expect(await refuted()).toEqual(['12'])
      })

      it('finds those that an earlier release stored without a projection', async () => {
        await call(await addLater(answering('11')), false)
        await test.database.pool.query('update episodes set projection = null')
        expect(await refuted()).toEqual(['11'])
      })

      it('forgets what is deleted, excluded or hidden', async () => {
        const [first, second] = [await addLater(answering('11')), await addLater(answering('12'))]
        for (const one of [first, second]) await call(one, false)
        expect(await refuted({ exclude: [first.id] })).toEqual(['12'])
        await store.remove('tenant-a', first.id)
        expect(await refuted()).toEqual(['12'])
        await store.removeAll('tenant-a')
        expect(await refuted()).toEqual([])
      })
    })

    describe('nearest', () => {
      const ask = { tenantId: 'tenant-a', fingerprint: 'model-1', topK: 10, minSimilarity: -1 }

      it('finds exactly the neighbours of a brute-force comparison', async () => {
        const episodes = Array.from({ length: 120 }, (_, index) =>
          newEpisode({
            seed: index,
            embedding: unitVector(index + 1000, 16),
            admitted: index % 4 !== 0,
            fingerprint: index % 5 === 0 ? 'model-2' : 'model-1',
          }),
        )
        await addAll(episodes)
        for (const seed of [1, 2, 3, 4, 5]) {
          const embedding = unitVector(seed, 16)
          const expected = episodes
            .filter(({ admitted, fingerprint }) => admitted && fingerprint === 'model-1')
            .map((episode) => ({ id: episode.id, similarity: dot(episode.embedding, embedding) }))
            .filter(({ similarity }) => similarity >= 0.1)
            .sort((a, b) => b.similarity - a.similarity)
            .slice(0, 7)
          const found = await store.nearest({ ...ask, embedding, topK: 7, minSimilarity: 0.1 })
          expect(found.map(({ episodeId }) => episodeId)).toEqual(expected.map(({ id }) => id))
          for (const [index, { similarity }] of found.entries()) {
            expect(similarity).toBeCloseTo(expected[index]!.similarity, 6)
          }
        }
      })

      /** Embeddings wider than the projection. */
      const wide = (index: number) => clusteredVector(index, 700)
      const nearestOf = (episodes: readonly NewEpisode[], embedding: Float32Array, topK: number) =>
        episodes
          .map((episode) => ({ id: episode.id, similarity: dot(episode.embedding, embedding) }))
          .sort((a, b) => b.similarity - a.similarity)
          .slice(0, topK)
          .map(({ id }) => id)
      const idsOf = async (query: Parameters<EpisodeStore['nearest']>[0]) =>
        (await store.nearest(query)).map(({ episodeId }) => episodeId)
      const forgetProjections = (where: string) =>
        test.database.pool.query(`update episodes set projection = null where ${where}`)

      it('orders the candidates of the projection by their exact similarity', async () => {
        const episodes = Array.from({ length: 120 }, (_, index) => newEpisode({ embedding: wide(index) }))
        await addAll(episodes)
        for (const index of [0, 20, 40, 60]) {
          const embedding = wide(index)
          const found = await store.nearest({ ...ask, embedding, topK: 4 })
          expect(found.map(({ episodeId }) => episodeId)).toEqual(nearestOf(episodes, embedding, 4))
          const best = episodes.find(({ id }) => id === found[1]!.episodeId)!
          expect(found[1]!.similarity).toBeCloseTo(dot(best.embedding, embedding), 6)
          expect(found[1]!.embedding).toEqual(best.embedding)
        }
      })

      it('compares episodes of an earlier release, without a projection, by their embeddings', async () => {
        const episodes = Array.from({ length: 60 }, (_, index) =>
          newEpisode({ seed: index, embedding: wide(index) }),
        )
        await addAll([...episodes, newEpisode({ tenantId: 'tenant-b', embedding: wide(0) })])
        for (const where of ['seed % 2 = 0', 'true']) {
          await forgetProjections(where)
          const expected = nearestOf(episodes, wide(0), 4)
          expect(await idsOf({ ...ask, embedding: wide(0), topK: 4 })).toEqual(expected)
          const [first = ''] = expected
          const others = episodes.filter(({ id }) => id !== first)
          const wish = { ...ask, embedding: wide(0), topK: 4, exclude: [first] }
          expect(await idsOf(wish)).toEqual(nearestOf(others, wide(0), 4))
        }
        await store.removeAll('tenant-a')
        expect(await idsOf({ ...ask, embedding: wide(0), topK: 4 })).toEqual([])
      })

      it('fills in missing projections in bites, as they are stored with new episodes', async () => {
        const episodes = Array.from({ length: 130 }, (_, index) =>
          newEpisode({
            seed: index,
            embedding: wide(index),
            latents: index % 3 === 0 ? null : newEpisode().latents,
          }),
        )
        await addAll(episodes)
        const rows = async () =>
          (await test.database.pool.query('select id, projection::text, steers from episodes order by id'))
            .rows
        const stored = await rows()
        await forgetProjections('true')
        const bites: number[] = []
        do bites.push(await projectBite(test.database, createEmbeddingProjections(test.database)))
        while (bites.at(-1) !== 0)
        expect(bites).toEqual([100, 30, 0])
        expect(await rows()).toEqual(stored)
        expect(stored.every(({ projection }) => projection.split(',').length === 256)).toBe(true)
      })

      it('keeps the projection of a model that another release recorded with another seed', async () => {
        const { pool } = test.database
        await pool.query("insert into models (fingerprint, projection_seed) values ('recorded', 7)")
        const episode = newEpisode({ fingerprint: 'recorded', embedding: wide(1) })
        await store.add(episode)
        const { rows } = await pool.query('select projection::text from episodes')
        const projected = createRandomProjection(700, 256, 7)(episode.embedding)
        const expected = fromFloat16(toFloat16(projected))
        expect(Float32Array.from(JSON.parse(rows[0].projection))).toEqual(expected)
        const other = createEpisodeStore({ database: test.database })
        const [found] = await other.nearest({ ...ask, fingerprint: 'recorded', embedding: wide(1) })
        expect(found?.episodeId).toBe(episode.id)
      })

      it('returns the latents rounded to fp16', async () => {
        const episode = newEpisode({ seed: 7 })
        await store.add(episode)
        const [neighbour] = await store.nearest({ ...ask, embedding: episode.embedding })
        const { zBase, zStar } = episode.latents!
        expect(neighbour).toMatchObject({
          episodeId: episode.id,
          similarity: expect.closeTo(1, 6),
          embedding: episode.embedding,
          zBase: { data: fromFloat16(toFloat16(zBase.data)), length: 3, width: 8 },
          zStar: { data: fromFloat16(toFloat16(zStar.data)), length: 3, width: 8 },
        })
      })

      it('returns the answer of an episode that a caller has called right, and its rules', async () => {
        const episode = newEpisode({ reference: null })
        await addAll([episode])
        const confirmed = async () => {
          const [neighbour] = await store.nearest({ ...ask, embedding: episode.embedding })
          return neighbour?.confirmed
        }
        expect(await confirmed()).toBeUndefined()
        await store.label('tenant-a', episode.id, { correct: true })
        expect(await confirmed()).toEqual({ answer: episode.answer, answerRules: episode.answerRules })
      })

      it('skips episodes without latents, even when all of them are nearer', async () => {
        const embedding = unitVector(3, 8)
        const silentOnes = Array.from({ length: 5 }, () => newEpisode({ embedding, latents: null }))
        const retrievable = newEpisode({ embedding: unitVector(4, 8) })
        await addAll([...silentOnes, retrievable])
        const found = await store.nearest({ ...ask, embedding, topK: 2 })
        expect(found.map(({ episodeId }) => episodeId)).toEqual([retrievable.id])
      })

      it('orders equally similar episodes by id, up to topK', async () => {
        const embedding = unitVector(3, 8)
        const episodes = Array.from({ length: 6 }, () => newEpisode({ embedding }))
        await addAll(episodes)
        const ids = episodes.map(({ id }) => id).sort()
        const found = await store.nearest({ ...ask, embedding, topK: 4 })
        expect(found.map(({ episodeId }) => episodeId)).toEqual(ids.slice(0, 4))
        expect(await store.nearest({ ...ask, embedding, topK: 0 })).toEqual([])
      })

      it('skips excluded episodes and still returns topK', async () => {
        const embedding = unitVector(3, 8)
        const episodes = Array.from({ length: 4 }, () => newEpisode({ embedding }))
        await addAll(episodes)
        const [first, second, third, fourth] = episodes.map(({ id }) => id).sort() as [string, ...string[]]
        const found = await store.nearest({ ...ask, embedding, topK: 2, exclude: [first, third!] })
        expect(found.map(({ episodeId }) => episodeId)).toEqual([second, fourth])
      })

      it('never returns an episode with a zero embedding', async () => {
        await store.add(newEpisode({ embedding: new Float32Array(8) }))
        expect(await store.nearest({ ...ask, embedding: unitVector(1, 8) })).toEqual([])
      })

      it('keeps models of different widths apart', async () => {
        const wide = newEpisode({ fingerprint: 'wide', embedding: unitVector(1, 32) })
        await addAll([wide, newEpisode()])
        const found = await store.nearest({ ...ask, fingerprint: 'wide', embedding: unitVector(1, 32) })
        expect(found.map(({ episodeId }) => episodeId)).toEqual([wide.id])
      })
    })

    describe('map', () => {
      const map = (limit = 10, fingerprint = 'model-1') => store.map('tenant-a', { fingerprint, limit })

      it('places the newest episodes of a model, near-duplicates together', async () => {
        expect(await map()).toEqual({ points: [], explained: [0, 0] })
        const groups = [0, 1].flatMap((group) =>
          Array.from({ length: 4 }, (_, index) =>
            newEpisode({
              question: 'x'.repeat(500),
              embedding: unitVector(group, 32).map((value, at) => value + (at === index ? 0.02 : 0)),
            }),
          ),
        )
        for (const episode of groups) {
          now += 1
          await store.add(episode)
        }
        await store.label('tenant-a', groups[7]!.id, { correct: false })
        await addAll([
          newEpisode({ fingerprint: 'model-2', embedding: unitVector(1, 32) }),
          newEpisode({ tenantId: 'tenant-b', embedding: unitVector(1, 32) }),
        ])
        const { points, explained } = await map()
        expect(points.map(({ id }) => id)).toEqual(groups.map(({ id }) => id).reverse())
        expect(points[0]).toMatchObject({
          question: 'x'.repeat(120),
          answer: '12',
          reward: -0.125,
          steers: false,
          label: false,
        })
        const [first, second] = [points.slice(0, 4), points.slice(4)]
        const gap = Math.abs(first[0]!.x - second[0]!.x)
        expect(gap).toBeGreaterThan(0.5)
        for (const group of [first, second])
          for (const { x } of group) expect(Math.abs(x - group[0]!.x)).toBeLessThan(gap / 10)
        expect(explained[0]).toBeGreaterThan(0.9)
        expect((await map(3)).points.map(({ id }) => id)).toEqual(points.slice(0, 3).map(({ id }) => id))
        await test.database.pool.query('update episodes set projection = null')
        expect((await map()).points).toEqual([])
      })
    })

    describe('index and label', () => {
      const samples = ['12', '12', '15', null].map((answer, index) =>
        newCandidate({ kind: 'sample', answer, chosen: index === 0 }),
      )
      const labelsOf = async (id: string) =>
        (await store.get('tenant-a', id)).candidates.map(({ label, labelSource }) => [label, labelSource])

      it('labels all candidates and marks the episode indexed; a second run changes nothing', async () => {
        const episode = newEpisode({ candidates: samples })
        await store.add(episode)
        for (let run = 0; run < 2; run++) {
          await store.index('tenant-a', episode.id)
          expect(await store.get('tenant-a', episode.id)).toMatchObject({
            status: 'indexed',
            label: true,
            labelSource: 'majority',
          })
          expect(await labelsOf(episode.id)).toEqual([
            [true, 'majority'],
            [true, 'majority'],
            [false, 'majority'],
            [false, 'majority'],
          ])
        }
      })

      it('prefers feedback to indexing in either order, and later to earlier feedback', async () => {
        for (const indexFirst of [true, false]) {
          const episode = newEpisode({ reference: '12', candidates: samples })
          await store.add(episode)
          if (indexFirst) await store.index('tenant-a', episode.id)
          await store.label('tenant-a', episode.id, { correct: true })
          const detail = await store.label('tenant-a', episode.id, { answer: '15' })
          if (!indexFirst) await store.index('tenant-a', episode.id)
          expect(detail).toMatchObject({ label: false, labelSource: 'feedback' })
          expect(await labelsOf(episode.id)).toEqual([
            [false, 'feedback'],
            [false, 'feedback'],
            [true, 'feedback'],
            [false, 'feedback'],
          ])
        }
      })

      it('compares feedback with answers of an older form, which it brings to the form of today', async () => {
        const answers = ['1/2', '0.50', '1/2', '3']
        const candidates = samples.map((sample, index) => ({ ...sample, answer: answers[index] ?? null }))
        const episode = newEpisode({ answer: '1/2', reference: '1/2', candidates })
        await store.add(episode)
        await store.index('tenant-a', episode.id)
        const keys = {
          rules: 'answers-2',
          keyOf: (answer: string) => (answer === '1/2' || answer === '0.50' ? '0.5' : answer),
          keyIn: () => null,
        }

        const detail = await store.label('tenant-a', episode.id, { answer: '0.5' }, keys)
        expect(detail).toMatchObject({ answer: '0.5', reference: '0.5', label: true })
        expect((await labelsOf(episode.id)).map(([label]) => label)).toEqual([true, true, true, false])
        const again = await store.label('tenant-a', episode.id, { correct: false }, keys)
        expect(again).toMatchObject({ answer: '0.5', label: false })
      })

      it('reads answers of other rules from their texts again, and keeps what a reference is the same as', async () => {
        // The step `percent` made 50% and 50 equal; today they are not.
        const texts = ['It is 50%', 'It is 40%', 'It is 50', 'unread']
        const answers = ['50', '40', '50', null]
        const candidates = samples.map((sample, index) => ({
          ...sample,
          text: texts[index]!,
          answer: answers[index]!,
        }))
        const keys = {
          rules: 'answers-2',
          keyOf: (answer: string) => (answer.endsWith('%') ? `${answer.slice(0, -1)}/100` : answer),
          keyIn: (text: string) => (text.startsWith('It is ') ? keys.keyOf(text.slice(6)) : null),
        }
        const episode = newEpisode({ answer: '50', reference: '50', candidates })
        await store.add(episode)
        await store.index('tenant-a', episode.id)
        const detail = await store.label('tenant-a', episode.id, { answer: '50/100' }, keys)
        expect(detail).toMatchObject({ answer: '50/100', reference: '50/100', label: true })
        expect(detail.candidates.map(({ answer, label }) => [answer, label])).toEqual([
          ['50/100', true],
          ['40/100', false],
          ['50', false],
          [null, false],
        ])
        // Keys of today's rules are not read again.
        const other = { ...keys, keyOf: () => 'x', keyIn: () => 'x' }
        const again = await store.label('tenant-a', episode.id, { correct: true }, other)
        expect(again).toMatchObject({ answer: '50/100', label: true })
      })

      it('relabels only the candidates that share a refuted answer', async () => {
        const episode = newEpisode({ candidates: samples })
        await store.add(episode)
        await store.index('tenant-a', episode.id)
        await store.label('tenant-a', episode.id, { correct: false })
        const labels = await labelsOf(episode.id)
        expect(labels.slice(0, 2)).toEqual([
          [false, 'feedback'],
          [false, 'feedback'],
        ])
        expect(labels.slice(2).map(([, source]) => source)).not.toContain('feedback')
      })

      it('indexes an episode without candidates', async () => {
        const episode = newEpisode({ candidates: [] })
        await store.add(episode)
        await store.index('tenant-a', episode.id)
        expect(await store.get('tenant-a', episode.id)).toMatchObject({ status: 'indexed', label: null })
      })
    })

    describe('steering', () => {
      const steering = async (): Promise<string[]> => {
        const { rows } = await test.database.pool.query('select id from episodes where steers')
        return rows.map(({ id }) => id).sort()
      }
      const idsOf = (...episodes: readonly NewEpisode[]) => episodes.map(({ id }) => id).sort()
      const answering = (answer: string, over: Partial<NewEpisode> = {}) =>
        newEpisode({ answer, candidates: [newCandidate({ answer })], ...over })

      async function indexAll(episodes: readonly NewEpisode[]): Promise<void> {
        for (const episode of episodes) {
          now += 1
          await store.add(episode)
          await store.index('tenant-a', episode.id)
        }
      }

      it('ends with feedback against the answer and begins again with feedback for it', async () => {
        const episode = newEpisode()
        const near = { fingerprint: 'model-1', embedding: episode.embedding, topK: 10, minSimilarity: -1 }
        await indexAll([episode])
        for (const [feedback, found] of [
          [{ correct: false }, 0],
          [{ correct: true }, 1],
          [{ answer: '13' }, 0],
          [{ answer: '12' }, 1],
        ] as const) {
          await store.label('tenant-a', episode.id, feedback)
          expect(await store.nearest({ tenantId: 'tenant-a', ...near })).toHaveLength(found)
        }
      })

      it('ends with a reference that contradicts the answer', async () => {
        const [wrong, right] = [newEpisode({ reference: '13' }), newEpisode({ reference: '12' })]
        await indexAll([wrong, right])
        expect(await steering()).toEqual(idsOf(right))
      })

      it('does not end with a label that no caller gave', async () => {
        const samples = ['12', '13', '13'].map((answer, index) =>
          newCandidate({ kind: 'sample', answer, chosen: index === 0 }),
        )
        const episode = newEpisode({ candidates: samples })
        await indexAll([episode])
        expect(await store.get('tenant-a', episode.id)).toMatchObject({
          label: false,
          labelSource: 'majority',
        })
        expect(await steering()).toEqual([episode.id])
      })

      it('passes to the confirmed answer to a question, until that is refuted or deleted', async () => {
        const [old, same, other] = [answering('11'), answering('12'), answering('11', { question: 'b?' })]
        const newer = answering('12')
        const later = answering('11')
        await indexAll([old, same, other, newer, later])
        const all = idsOf(old, same, other, newer, later)
        expect(await steering()).toEqual(all)
        await store.label('tenant-a', newer.id, { correct: true })
        expect(await steering()).toEqual(idsOf(same, other, newer))
        await store.label('tenant-a', newer.id, { correct: false })
        expect(await steering()).toEqual(idsOf(old, same, other, later))
        await store.label('tenant-a', newer.id, { correct: true })
        await store.remove('tenant-a', newer.id)
        expect(await steering()).toEqual(idsOf(old, same, other, later))
      })

      it('passes to the newest of several confirmed answers', async () => {
        const [first, second, third] = [answering('11'), answering('12'), answering('11')]
        await indexAll([first, second, third])
        for (const { id } of [first, second]) await store.label('tenant-a', id, { correct: true })
        expect(await steering()).toEqual(idsOf(second))
        await store.label('tenant-a', third.id, { correct: true })
        expect(await steering()).toEqual(idsOf(first, third))
        await store.remove('tenant-a', third.id)
        expect(await steering()).toEqual(idsOf(second))
      })

      it('does not begin with an answer that contradicts the confirmed one', async () => {
        const [confirmed, again, same] = [answering('12'), answering('11'), answering('12')]
        await indexAll([confirmed])
        await store.label('tenant-a', confirmed.id, { correct: true })
        await indexAll([again, same])
        expect(await steering()).toEqual(idsOf(confirmed, same))
        await store.label('tenant-a', again.id, { correct: true })
        expect(await steering()).toEqual([again.id])
      })

      it('does not pass between answers of other rules', async () => {
        // By the rules of before, 50% was 50.
        const old = answering('50', { answerRules: 'answers-0' })
        const [same, other] = [answering('50/100'), answering('40/100')]
        await indexAll([old, same, other])
        await store.label('tenant-a', old.id, { correct: true })
        expect(await steering()).toEqual(idsOf(old, same, other))
        const late = answering('30/100')
        await indexAll([late])
        expect(await steering()).toEqual(idsOf(old, same, other, late))
        await store.label('tenant-a', same.id, { correct: true })
        expect(await steering()).toEqual(idsOf(old, same))
        // Once its keys are those of today, the old episode takes part.
        const keys = { rules: 'answers-1', keyOf: (answer: string) => answer, keyIn: () => '20/100' }
        await store.label('tenant-a', old.id, { correct: true }, keys)
        expect(await steering()).toEqual(idsOf(same))
      })

      it('takes back what an answer of other rules had superseded, once its key changes', async () => {
        const old = answering('12', { answerRules: 'answers-0' })
        const confirmed = answering('50', { answerRules: 'answers-0' })
        await indexAll([old, confirmed])
        await store.label('tenant-a', confirmed.id, { correct: true })
        expect(await steering()).toEqual(idsOf(confirmed))
        const keys = { rules: 'answers-1', keyOf: (answer: string) => answer, keyIn: () => '50/100' }
        await store.label('tenant-a', confirmed.id, { correct: true }, keys)
        expect(await steering()).toEqual(idsOf(old, confirmed))
      })

      it('passes to answers of an earlier release, under the same judge', async () => {
        const [same, other] = [answering('12', { answerRules: '' }), answering('11', { answerRules: '' })]
        const elsewhere = answering('11', { answerRules: '', judgeFingerprint: 'judge-2' })
        const confirmed = answering('12')
        await indexAll([same, other, elsewhere, confirmed])
        await store.label('tenant-a', confirmed.id, { correct: true })
        expect(await steering()).toEqual(idsOf(same, elsewhere, confirmed))
      })

      it('shows its reason', async () => {
        const [steers, silent, weak] = [
          newEpisode({ question: 'a?' }),
          newEpisode({ question: 'b?', latents: null }),
          newEpisode({ question: 'c?', admitted: false }),
        ]
        const [old, newer] = [answering('11', { question: 'd?' }), answering('12', { question: 'd?' })]
        const refuted = newEpisode({ question: 'e?' })
        const led = newEpisode({ question: 'f?', ancestors: [refuted.id] })
        await indexAll([steers, silent, weak, old, newer, refuted, led])
        await store.label('tenant-a', newer.id, { correct: true })
        await store.label('tenant-a', refuted.id, { correct: false })
        const { episodes } = await store.list('tenant-a', { limit: 10 })
        expect(episodes.map(({ steering }) => steering).reverse()).toEqual([
          'steers',
          'noLatents',
          'notAdmitted',
          'superseded',
          'steers',
          'refuted',
          'withdrawn',
        ])
      })

      it('stays within one tenant and model', async () => {
        const old = answering('11')
        const theirs = answering('12', { tenantId: 'tenant-b' })
        const other = answering('12', { fingerprint: 'model-2' })
        await addAll([old, theirs, other])
        await store.label('tenant-b', theirs.id, { correct: true })
        await store.label('tenant-a', other.id, { correct: true })
        expect(await steering()).toEqual(idsOf(old, theirs, other))
      })

      describe('of descendants', () => {
        const family = () => {
          const parent = newEpisode({ question: 'a?' })
          const child = newEpisode({ question: 'b?', ancestors: [parent.id] })
          const grandchild = newEpisode({ question: 'c?', ancestors: [child.id] })
          const stranger = newEpisode({ question: 'd?' })
          return [parent, child, grandchild, stranger] as const
        }

        it('ends with feedback against an ancestor, and comes back with feedback for it', async () => {
          const [parent, child, grandchild, stranger] = family()
          await indexAll([parent, child, grandchild, stranger])
          expect(await steering()).toEqual(idsOf(parent, child, grandchild, stranger))
          await store.label('tenant-a', parent.id, { correct: false })
          expect(await steering()).toEqual(idsOf(stranger))
          await store.label('tenant-a', parent.id, { correct: true })
          expect(await steering()).toEqual(idsOf(parent, child, grandchild, stranger))
        })

        it('ends when an ancestor is deleted, except where the answer is confirmed; its influence says so', async () => {
          const [parent, child, grandchild, stranger] = family()
          const confirmed = newEpisode({ question: 'e?', ancestors: [parent.id] })
          const itsChild = newEpisode({ question: 'f?', ancestors: [confirmed.id] })
          await indexAll([parent, child, grandchild, stranger, confirmed, itsChild])
          await store.label('tenant-a', confirmed.id, { correct: true })
          const { led, ledBy, deletion } = await store.influence('tenant-a', parent.id)
          expect(ledBy).toEqual([])
          expect(led.map(({ id }) => id).sort()).toEqual([child.id, confirmed.id].sort())
          expect(deletion).toEqual({ withdrawn: 2, released: 0, artifacts: [] })
          const ofChild = await store.influence('tenant-a', child.id)
          expect(ofChild.ledBy.map(({ id }) => id)).toEqual([parent.id])
          expect(ofChild.deletion.withdrawn).toBe(1)
          await store.remove('tenant-a', parent.id)
          expect((await store.influence('tenant-a', child.id)).deletion.withdrawn).toBe(0)
          expect((await store.influence('tenant-a', child.id)).ledBy).toEqual([])
          expect(await steering()).toEqual(idsOf(stranger, confirmed, itsChild))
          await store.label('tenant-a', child.id, { correct: true })
          expect(await steering()).toEqual(idsOf(child, grandchild, stranger, confirmed, itsChild))
        })

        it('goes on when an ancestor expires, by age or capacity', async () => {
          const [parent, child, grandchild, stranger] = family()
          await indexAll([parent, child, grandchild, stranger])
          now += 1
          const young = newEpisode({ question: 'g?', ancestors: [grandchild.id, stranger.id] })
          await indexAll([young])
          expect(await pruneExcessEpisodes(test.database, 4)).toBe(1)
          expect(await steering()).toEqual(idsOf(child, grandchild, stranger, young))
          // All of its ancestors, and theirs, at once.
          expect(await pruneEpisodes(test.database, new Date(now))).toBe(3)
          expect(await steering()).toEqual(idsOf(young))
          await store.label('tenant-a', young.id, { correct: false })
          await store.label('tenant-a', young.id, { correct: true })
          expect(await steering()).toEqual(idsOf(young))
        })

        it('ends when an episode is erased behind an expired ancestor', async () => {
          now += 1
          const [parent, child, grandchild, stranger] = family()
          // The child was stored by a clock that was behind, so it expires first.
          await indexAll([parent])
          const before = now
          now -= 3_600_000
          await indexAll([child])
          now = before
          await indexAll([grandchild, stranger])
          expect(await pruneEpisodes(test.database, new Date(now - 1_800_000))).toBe(1)
          expect(await steering()).toEqual(idsOf(parent, grandchild, stranger))
          await store.remove('tenant-a', parent.id)
          expect(await steering()).toEqual(idsOf(stranger))
        })

        it('stays as it was when a refuted, withdrawn or confirmed ancestor expires', async () => {
          const [refuted, itsChild] = [newEpisode({ question: 'a?' }), newEpisode({ question: 'b?' })]
          const led = newEpisode({ question: 'c?', ancestors: [refuted.id] })
          const confirmed = newEpisode({ question: 'd?', ancestors: [refuted.id] })
          await indexAll([refuted, led, confirmed, itsChild])
          await store.label('tenant-a', refuted.id, { correct: false })
          await store.label('tenant-a', confirmed.id, { correct: true })
          now += 1
          const until = now
          const children = [refuted, led, confirmed].map(({ id }) =>
            newEpisode({ question: `of ${id}?`, ancestors: [id] }),
          )
          await indexAll(children)
          expect(await steering()).toEqual(idsOf(confirmed, itsChild, children[2]!))
          expect(await pruneEpisodes(test.database, new Date(until))).toBe(4)
          expect(await steering()).toEqual(idsOf(children[2]!))
        })

        it('never begins when the ancestor is gone before the episode is stored', async () => {
          await indexAll([newEpisode({ ancestors: [NOWHERE] })])
          expect(await steering()).toEqual([])
        })
      })
    })

    describe('remove', () => {
      it('deletes candidates, thoughts and latents with the episode', async () => {
        const candidates = [newCandidate({ thought: thoughtOf(1) })]
        const episode = newEpisode({ candidates })
        await addAll([episode, newEpisode()])
        await store.remove('tenant-a', episode.id)
        expect([
          await rowsOf('episodes'),
          await rowsOf('candidates'),
          await rowsOf('candidate_thoughts'),
          await rowsOf('episode_latents'),
        ]).toEqual([1, 1, 0, 1])
        await expect(store.get('tenant-a', episode.id)).rejects.toEqual(NOT_FOUND)
        await expect(store.remove('tenant-a', episode.id)).rejects.toEqual(NOT_FOUND)
      })

      it('prunes older episodes of every tenant', async () => {
        const [old, alsoOld, young] = [newEpisode(), newEpisode({ tenantId: 'tenant-b' }), newEpisode()]
        await addAll([old, alsoOld])
        now += 1000
        await store.add(young)
        expect(await pruneEpisodes(test.database, new Date(now))).toBe(2)
        expect((await store.list('tenant-a', { limit: 9 })).episodes.map(({ id }) => id)).toEqual([young.id])
      })
    })

    describe('tenants', () => {
      it('cannot reach episodes of one another by any method', async () => {
        const theirs = newEpisode({ tenantId: 'tenant-b' })
        // Both tenants have an episode with this id: ids are unique per tenant only.
        const ours = newEpisode({ answer: '99' })
        await addAll([theirs, ours, newEpisode({ id: ours.id, tenantId: 'tenant-b', answer: '11' })])

        for (const tenantId of ['tenant-a', '', 'TENANT-B', 'tenant-b ', '%', "tenant-b' or true --"]) {
          await expect(store.get(tenantId, theirs.id)).rejects.toEqual(NOT_FOUND)
          await expect(store.label(tenantId, theirs.id, { correct: false })).rejects.toEqual(NOT_FOUND)
          await expect(store.index(tenantId, theirs.id)).rejects.toEqual(NOT_FOUND)
          await expect(store.influence(tenantId, theirs.id)).rejects.toEqual(NOT_FOUND)
          await expect(store.remove(tenantId, theirs.id)).rejects.toEqual(NOT_FOUND)
        }
        const found = await store.nearest({
          tenantId: 'tenant-a',
          fingerprint: 'model-1',
          embedding: theirs.embedding,
          topK: 10,
          minSimilarity: -1,
        })
        expect(found.map(({ episodeId }) => episodeId)).toEqual([ours.id])
        expect((await store.list('tenant-a', { limit: 10 })).episodes.map(({ id }) => id)).toEqual([ours.id])
        const { nextCursor } = await store.list('tenant-b', { limit: 1 })
        const { episodes } = await store.list('tenant-a', { limit: 10, cursor: nextCursor! })
        expect(episodes.every(({ id }) => id === ours.id)).toBe(true)

        await store.remove('tenant-a', ours.id)
        expect(await store.get('tenant-b', ours.id)).toMatchObject({ answer: '11' })
        await store.removeAll('tenant-a')
        await eraseAll(test.database)
        expect(await store.get('tenant-b', theirs.id)).toMatchObject({ status: 'pending', label: null })
      })
    })

    it('stamps episodes by the clock of the database, whatever the clock of the process shows', async () => {
      const ahead = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_600_000)
      try {
        const episode = newEpisode()
        await createEpisodeStore({ database: test.database }).add(episode)
        const { createdAt } = await store.get('tenant-a', episode.id)
        const { rows } = await test.database.pool.query('select now() as now')
        expect(Math.abs(Date.parse(createdAt) - rows[0].now.getTime())).toBeLessThan(60_000)
      } finally {
        ahead.mockRestore()
      }
    })

    describe('outbox', () => {
      const LEASE = 60_000

      it('has one row of ids for each episode, oldest first', async () => {
        const episodes = [newEpisode(), newEpisode(), newEpisode()]
        await addAll(episodes)
        const rows = await outbox.claim(10, LEASE)
        expect(rows.map(({ kind, payload }) => ({ kind, payload }))).toEqual(
          episodes.map(({ id }) => ({
            kind: 'episode.index',
            payload: { tenantId: 'tenant-a', episodeId: id },
          })),
        )
      })

      it('claims a row once until it is released or its lease ends', async () => {
        await addAll([newEpisode(), newEpisode()])
        const [first] = await outbox.claim(1, LEASE)
        const [second] = await outbox.claim(10, 0)
        expect(second!.id).not.toBe(first!.id)
        expect((await outbox.claim(10, LEASE)).map(({ id }) => id)).toEqual([second!.id])
        expect(await outbox.claim(10, LEASE)).toEqual([])
        await outbox.release([first!.id])
        expect((await outbox.claim(10, LEASE)).map(({ id }) => id)).toEqual([first!.id])
        expect(await outbox.waiting()).toBe(2)
      })

      it('never claims a relayed row', async () => {
        await store.add(newEpisode())
        const [row] = await outbox.claim(1, 0)
        await outbox.markRelayed([row!.id])
        await outbox.release([row!.id])
        expect(await outbox.claim(1, LEASE)).toEqual([])
        expect(await outbox.waiting()).toBe(0)
      })

      it('puts the id of the request in the payload', async () => {
        const episode = newEpisode({ requestId: 'request-1' })
        await store.add(episode)
        const [row] = await outbox.claim(1, LEASE)
        expect(row!.payload).toEqual({
          tenantId: 'tenant-a',
          episodeId: episode.id,
          requestId: 'request-1',
        })
      })

      it('keeps a claim that is renewed', async () => {
        await addAll([newEpisode(), newEpisode()])
        const [first, second] = await outbox.claim(2, 0)
        await outbox.renew([first!.id], LEASE)
        expect((await outbox.claim(10, LEASE)).map(({ id }) => id)).toEqual([second!.id])
      })

      it('lets a relayed row of a pending episode wait again, under its id, while it is young', async () => {
        const [lost, done] = [newEpisode(), newEpisode()]
        await addAll([lost, done])
        const rows = await outbox.claim(10, LEASE)
        await outbox.markRelayed(rows.map(({ id }) => id))
        await store.index('tenant-a', done.id)
        const again = { olderThanMs: 8_000, untilMs: 60_000, limit: 10 }
        expect(await outbox.relayAgain(again)).toBe(0)
        await test.database.pool.query("update outbox set relayed_at = relayed_at - interval '9 seconds'")
        expect(await outbox.relayAgain({ ...again, limit: 0 })).toBe(0)
        expect(await outbox.relayAgain(again)).toBe(1)
        expect(await outbox.relayAgain(again)).toBe(0)
        expect((await outbox.claim(10, LEASE)).map(({ id }) => id)).toEqual([rows[0]!.id])
        await outbox.markRelayed([rows[0]!.id])
        await test.database.pool.query(
          "update outbox set relayed_at = relayed_at - interval '9 seconds', created_at = created_at - interval '2 minutes'",
        )
        expect(await outbox.relayAgain(again)).toBe(0)
      })

      it('adds a row for an episode whose work was lost, once', async () => {
        now = Date.now() - 10_000
        const ids = { requestId: 'request-1', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }
        const [lost, done, waiting] = [newEpisode(ids), newEpisode(), newEpisode()]
        await addAll([lost, done])
        await outbox.markRelayed((await outbox.claim(10, LEASE)).map(({ id }) => id))
        await store.add(waiting)
        await store.index('tenant-a', done.id)
        expect(await outbox.recover(3_600_000)).toBe(0)
        await test.database.pool.query("update outbox set relayed_at = relayed_at - interval '9 seconds'")
        expect(await outbox.recover(8_000)).toBe(1)
        expect(await outbox.recover(8_000)).toBe(0)
        const rows = await outbox.claim(10, LEASE)
        expect(rows.map(({ payload }) => payload)).toEqual([
          { tenantId: 'tenant-a', episodeId: waiting.id },
          { tenantId: 'tenant-a', episodeId: lost.id, ...ids },
        ])
      })

      it('adds a row for an episode without one', async () => {
        now = Date.now() - 10_000
        const episode = newEpisode()
        await store.add(episode)
        await test.database.pool.query('delete from outbox')
        expect(await outbox.recover(8_000)).toBe(1)
        const rows = await outbox.claim(10, LEASE)
        expect(rows.map(({ payload }) => payload)).toEqual([{ tenantId: 'tenant-a', episodeId: episode.id }])
      })

      it('prunes only rows that were relayed long ago', async () => {
        await addAll([newEpisode(), newEpisode(), newEpisode()])
        const [first, second] = await outbox.claim(2, LEASE)
        await outbox.markRelayed([first!.id, second!.id])
        await test.database.pool.query(
          "update outbox set relayed_at = relayed_at - interval '9 seconds' where id = $1",
          [first!.id],
        )
        expect(await outbox.prune(8_000)).toBe(1)
        expect([await rowsOf('outbox'), await outbox.waiting()]).toEqual([2, 1])
      })

      it('ignores ids without a row', async () => {
        await outbox.markRelayed([randomUUID()])
        await outbox.release([])
        expect(await outbox.waiting()).toBe(0)
      })
    })
  })
}
