/** @file The tests of the training store, run on the embedded database and on a server. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { unpackLatents, unpackThought } from '#algorithms'
import {
  type Candidate,
  createEpisodeStore,
  createTrainingStore,
  type EpisodeStore,
  type NewEpisode,
  type TrainingKey,
  type TrainingStore,
} from '#episodes'
import { fromFloat16, toFloat16 } from '#tensor'
import { newCandidate, newEpisode, thoughtOf, unitVector } from './episodes.ts'
import type { TestDatabase } from './test-database.ts'

const NOWHERE = '00000000-0000-4000-8000-000000000000'

const keyOf = ({ tenantId, id }: NewEpisode): TrainingKey => ({ tenantId, episodeId: id })

/** Returns an episode with a latent thought and with labels by reference. */
function thinking(over: Partial<NewEpisode> = {}): NewEpisode {
  return newEpisode({ reference: '12', candidates: [newCandidate({ thought: thoughtOf(1) })], ...over })
}

export function describeTrainingStore(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`training store on ${name}`, () => {
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
      await test.database.pool.query('truncate episodes, outbox, deletions, tenant_cutoffs cascade')
    })

    /** Adds the episodes in order, one millisecond apart. */
    async function addAll(episodes: readonly NewEpisode[], { index = true } = {}): Promise<void> {
      for (const episode of episodes) {
        now += 1
        await store.add(episode)
        if (index) await store.index(episode.tenantId, episode.id)
      }
    }

    const ask = { fingerprint: 'model-1', material: 'thoughts', maxTenantShare: 1 } as const

    describe('snapshot', () => {
      it('has the usable episodes, newest first, and counts the others', async () => {
        const [first, second, alsoTheirs] = [thinking(), thinking(), thinking({ tenantId: 'tenant-b' })]
        const thoughtless = newEpisode({ reference: '12' })
        const unadmitted = thinking({ admitted: false })
        const pending = thinking()
        await addAll([
          first,
          thoughtless,
          thinking({ fingerprint: 'model-2' }),
          unadmitted,
          alsoTheirs,
          second,
        ])
        await addAll([pending], { index: false })
        expect(await training.snapshot(ask)).toEqual({
          episodes: [second, alsoTheirs, unadmitted, first].map(keyOf),
          counts: { episodes: 6, pending: 1, unusable: 1, overShare: 0, overLimit: 0, kept: 4 },
          newestAt: new Date(now),
        })
        expect(await training.snapshot({ ...ask, material: 'latents' })).toEqual({
          episodes: [second, alsoTheirs, thoughtless, first].map(keyOf),
          counts: { episodes: 6, pending: 1, unusable: 1, overShare: 0, overLimit: 0, kept: 4 },
          newestAt: new Date(now),
        })
      })

      it('has every indexed episode for the answers that a fused judge is fitted to', async () => {
        const thoughtless = newEpisode({ reference: '12', latents: null })
        const sampled = newEpisode({ origin: 'night' })
        await addAll([thoughtless, sampled])
        await addAll([thinking()], { index: false })
        expect((await training.snapshot({ ...ask, material: 'answers' })).episodes).toEqual(
          [sampled, thoughtless].map(keyOf),
        )
      })

      it('requires label and thought on the same candidate', async () => {
        const mixed = newEpisode({
          candidates: [
            newCandidate({ thought: null }),
            newCandidate({ chosen: false, thought: thoughtOf(1) }),
          ],
        })
        await addAll([mixed])
        await test.database.pool.query(
          'update candidates set label = null, label_source = null, label_weight = null where position = 1',
        )
        expect((await training.snapshot(ask)).counts).toMatchObject({ unusable: 1, kept: 0 })
      })

      it('reads neither candidates nor thoughts, and follows later labels', async () => {
        const { pool } = test.database
        const [labelled, unlabelled] = [thinking(), thinking()]
        await addAll([labelled, unlabelled])
        await pool.query(
          'update candidates set label = null, label_source = null, label_weight = null where episode_id = $1',
          [unlabelled.id],
        )
        await pool.query('alter table candidate_thoughts rename to hidden')
        try {
          expect((await training.snapshot(ask)).episodes).toEqual([keyOf(labelled)])
        } finally {
          await pool.query('alter table hidden rename to candidate_thoughts')
        }
        await store.label('tenant-a', unlabelled.id, { correct: true })
        expect((await training.snapshot(ask)).episodes).toEqual([unlabelled, labelled].map(keyOf))
      })

      it('counts the pending episodes of a model by themselves', async () => {
        await addAll([thinking()])
        await addAll([thinking(), thinking({ tenantId: 'tenant-b' }), thinking({ fingerprint: 'model-2' })], {
          index: false,
        })
        expect(await training.countPending('model-1')).toBe(2)
        expect(await training.countPending('model-3')).toBe(0)
      })

      it('is empty for a model without episodes', async () => {
        await addAll([thinking()])
        expect(await training.snapshot({ ...ask, fingerprint: 'model-2' })).toEqual({
          episodes: [],
          counts: { episodes: 0, pending: 0, unusable: 0, overShare: 0, overLimit: 0, kept: 0 },
          newestAt: null,
        })
      })

      it('keeps the newest episodes of each tenant within its share and the limit', async () => {
        const of = (tenantId: string, count: number) =>
          Array.from({ length: count }, () => thinking({ tenantId }))
        const [many, some, few] = [of('many', 12), of('some', 5), of('few', 2)]
        await addAll([...few, ...some, ...many])
        const shared = await training.snapshot({ ...ask, maxTenantShare: 0.5, minPerTenant: 0 })
        expect(shared.counts).toMatchObject({ overShare: 5, overLimit: 0, kept: 14 })
        expect(shared.episodes).toEqual([...few, ...some, ...many.slice(5)].map(keyOf).reverse())

        const limited = await training.snapshot({ ...ask, maxTenantShare: 0.5, minPerTenant: 0, limit: 9 })
        expect(limited.counts).toMatchObject({ overShare: 5, overLimit: 6, kept: 8 })
        expect(limited.episodes).toEqual([...few, ...some.slice(2), ...many.slice(9)].map(keyOf).reverse())
      })

      it('leaves out a deleted episode', async () => {
        const [kept, gone] = [thinking(), thinking()]
        await addAll([kept, gone])
        const { episodes } = await training.snapshot(ask)
        await store.remove('tenant-a', gone.id)
        expect((await training.snapshot(ask)).episodes).toEqual([keyOf(kept)])
        const thoughts = await Array.fromAsync(training.labelledThoughts('model-1', episodes))
        expect(thoughts.map(({ episodeId }) => episodeId)).toEqual([kept.id])
        const pairs = await Array.fromAsync(training.latentPairs('model-1', episodes))
        expect(pairs.map(({ episodeId }) => episodeId)).toEqual([kept.id])
      })
    })

    describe('asked questions', () => {
      it('are of all indexed episodes, admitted or not, with material or without', async () => {
        const unadmitted = newEpisode({ question: 'Why?', admitted: false, latents: null, seed: 5 })
        const admitted = thinking({ question: 'What is 2 x 6?' })
        await addAll([unadmitted, thinking({ fingerprint: 'model-2' }), admitted])
        await addAll([thinking()], { index: false })
        const { episodes } = await training.snapshot({ ...ask, material: 'asked' })
        expect(episodes).toEqual([admitted, unadmitted].map(keyOf))
        const asked = await Array.fromAsync(training.askedQuestions('model-1', episodes))
        expect(asked).toMatchObject([
          { ...keyOf(admitted), question: 'What is 2 x 6?', steers: true },
          { ...keyOf(unadmitted), question: 'Why?', steers: false },
        ])
        expect(asked[1]!.embedding).toEqual(unadmitted.embedding)
      })
    })

    describe('labelled answers', () => {
      it('come with all that was known of them, by position, with or without thoughts', async () => {
        const sample = (over: Partial<Candidate>) => newCandidate({ kind: 'sample', chosen: false, ...over })
        const candidates = [
          newCandidate({ answer: '12', tokens: [1, 2], thought: thoughtOf(1), logProbability: null }),
          sample({ answer: '12' }),
          sample({ answer: '13', reward: -0.5, rewardTerms: { format: -0.25 } }),
          sample({ answer: '12', thought: thoughtOf(2) }),
          sample({ answer: null }),
        ]
        const episode = newEpisode({ reference: '12', question: 'What is 2 x 6?', candidates })
        await addAll([episode, newEpisode({ fingerprint: 'model-2' })])
        const read = (withThoughts: boolean) =>
          Array.fromAsync(training.labelledAnswers('model-1', [keyOf(episode)], withThoughts))
        const found = await read(true)
        const known = {
          question: 'What is 2 x 6?',
          strategy: episode.strategy,
          labelSource: 'reference',
          labelWeight: 1,
          answers: 5,
          judgeFingerprint: episode.judgeFingerprint,
        }
        const judged = { reward: -0.125, rewardTerms: { verifier: -0.125, 'verifier.correctness': -0.1 } }
        expect(found).toMatchObject([
          {
            ...known,
            ...judged,
            position: 0,
            kind: 'draft',
            answer: '12',
            tokens: [1, 2],
            alike: 3,
            label: true,
          },
          { ...known, position: 1, kind: 'sample', logProbability: -0.1, selfCertainty: 12, thought: null },
          { ...known, position: 2, alike: 1, reward: -0.5, rewardTerms: { format: -0.25 }, label: false },
          { ...known, position: 3, alike: 3, label: true },
          { ...known, position: 4, answer: null, alike: 1, label: false },
        ])
        expect(found[0]).toMatchObject({ logProbability: null, selfCertainty: 12 })
        expect(found.map(({ thought }) => thought !== null)).toEqual([true, false, false, true, false])
        expect((await read(false)).map(({ thought }) => thought)).toEqual([null, null, null, null, null])
      })
    })

    describe('labelled thoughts', () => {
      const thoughtsOf = (episodes: readonly TrainingKey[]) =>
        Array.fromAsync(training.labelledThoughts('model-1', episodes))

      it('are rounded to fp16 and come with label and question, by position', async () => {
        const last = unitVector(9, 16)
        const thoughts = [{ ...thoughtOf(1), last }, null, thoughtOf(3)]
        const candidates = thoughts.map((thought, index) =>
          newCandidate({ kind: 'sample', answer: index === 0 ? '12' : '13', chosen: index === 0, thought }),
        )
        const episode = thinking({ question: 'What is 2 x 6?', candidates })
        await addAll([episode])
        const same = {
          ...keyOf(episode),
          question: 'What is 2 x 6?',
          labelSource: 'reference',
          labelWeight: 1,
          standsFor: 1,
          verifier: -0.125,
          tokens: [5, 6, 7],
        }
        const kept = (seed: number) => {
          const { data, ...shape } = thoughtOf(seed)
          return { ...shape, data: fromFloat16(toFloat16(data)) }
        }
        const found = await thoughtsOf([keyOf(episode)])
        const traced = { ...kept(1), last: fromFloat16(toFloat16(last)) }
        expect(
          found.map(({ thought, last, ...one }) => ({ ...one, thought: unpackThought(thought, last) })),
        ).toEqual([
          { ...same, position: 0, answer: '12', verifier: -0.125, thought: traced, label: true },
          { ...same, position: 2, answer: '13', verifier: -0.125, thought: kept(3), label: false },
        ])
        expect(found.map(({ last }) => last && [last.rows, last.width])).toEqual([[2, 8], null])
      })

      it('leave out the states of a last token that half precision cannot hold', async () => {
        const last = unitVector(9, 16).map((value, i) => (i === 3 ? 1e6 : value))
        const episode = thinking({ candidates: [newCandidate({ thought: { ...thoughtOf(1), last } })] })
        await addAll([episode])
        expect(await thoughtsOf([keyOf(episode)])).toMatchObject([{ last: null, thought: { rows: 3 } }])
      })

      it('come in the order of the keys, over many pages', async () => {
        const episodes = Array.from({ length: 70 }, (_, index) =>
          thinking({ seed: index, tenantId: index % 3 === 0 ? 'tenant-b' : 'tenant-a' }),
        )
        await addAll(episodes)
        const keys = episodes.map(keyOf).sort((a, b) => a.episodeId.localeCompare(b.episodeId))
        const found = await thoughtsOf(keys)
        expect(found.map(({ tenantId, episodeId }) => ({ tenantId, episodeId }))).toEqual(keys)
        const pairs = await Array.fromAsync(training.latentPairs('model-1', keys))
        expect(pairs.map(({ tenantId, episodeId }) => ({ tenantId, episodeId }))).toEqual(keys)
      })

      it('are read a few megabytes at a time', async () => {
        const thought = { data: new Float32Array(2 ** 18).fill(1), layers: 64, width: 2 ** 12 }
        const candidates = [0, 1].map((index) =>
          newCandidate({ kind: 'sample', chosen: index === 0, thought }),
        )
        const episodes = Array.from({ length: 12 }, (_, seed) => thinking({ seed, candidates }))
        await addAll(episodes)
        let statements = 0
        const count = () => {
          statements += 1
        }
        test.database.pool.on('acquire', count)
        const found = await thoughtsOf(episodes.map(keyOf))
        test.database.pool.off('acquire', count)
        expect(found).toHaveLength(24)
        // 12 MiB in pages of 4 MiB at most: 1, 2, 4, 4 and 1 episodes.
        expect(statements).toBe(5)
      })

      it('leave out thoughts beyond the range of fp16, without losing the episode', async () => {
        const broken = [Number.NaN, Number.POSITIVE_INFINITY, -70_000, 65_520]
        const fine = [0, -65_504, 65_519, 1e-9]
        const candidates: Candidate[] = [...broken, ...fine].map((value, index) => {
          const thought = { data: Float32Array.of(1, value), layers: 2, width: 1 }
          return newCandidate({ kind: 'sample', chosen: index === 0, thought })
        })
        const episode = thinking({ candidates })
        await addAll([episode])
        expect((await store.get('tenant-a', episode.id)).candidates).toHaveLength(8)
        const found = await thoughtsOf([keyOf(episode)])
        expect(found.map(({ position }) => position)).toEqual([4, 5, 6, 7])
        expect(found.map(({ thought }) => unpackThought(thought).data[1])).toEqual([0, -65_504, 65_504, 0])
      })

      it('leave out other models, other tenants, unlabelled candidates and unknown ids', async () => {
        const other = thinking({ fingerprint: 'model-2' })
        const unlabelled = thinking()
        await addAll([other])
        await addAll([unlabelled], { index: false })
        const keys = [
          keyOf(other),
          keyOf(unlabelled),
          { tenantId: 'tenant-b', episodeId: unlabelled.id },
          { tenantId: 'tenant-a', episodeId: NOWHERE },
        ]
        expect(await thoughtsOf(keys)).toEqual([])
        expect(await thoughtsOf([])).toEqual([])
      })

      it('follow later feedback', async () => {
        const episode = thinking()
        await addAll([episode])
        await store.label('tenant-a', episode.id, { correct: false })
        expect(await thoughtsOf([keyOf(episode)])).toMatchObject([{ label: false, labelSource: 'feedback' }])
      })
    })

    describe('thinning of thoughts', () => {
      /** An episode of samples with these answers; the last one is returned. */
      const sampled = (answers: readonly string[], over: Partial<NewEpisode> = {}) =>
        newEpisode({
          question: `${answers.join()}?`,
          answer: answers.at(-1) ?? null,
          candidates: answers.map((answer, index) =>
            newCandidate({
              kind: 'sample',
              answer,
              chosen: index === answers.length - 1,
              reward: -index / 100,
              thought: thoughtOf(index),
            }),
          ),
          ...over,
        })
      const read = async (...episodes: readonly NewEpisode[]) =>
        Array.fromAsync(training.labelledThoughts('model-1', episodes.map(keyOf)))
      const weigh = (thoughts: Awaited<ReturnType<typeof read>>) =>
        [true, false].map((label) =>
          thoughts.filter((one) => one.label === label).reduce((sum, { standsFor }) => sum + standsFor, 0),
        )
      const times = (answer: string, count: number) => Array<string>(count).fill(answer)

      it('keeps four right and four wrong ones, with the weight of all', async () => {
        const mixed = sampled([...times('7', 6), '8', '9', ...times('12', 10)])
        const right = sampled(times('12', 8))
        const few = sampled(['7', '8', '9', '12', '12', '12'])
        await addAll([mixed, right, few])
        const before = await read(mixed, right, few)
        expect(await training.thinThoughts('model-1', [mixed, right, few].map(keyOf))).toBe(6 + 4 + 4)
        const after = await read(mixed, right, few)
        expect(after.filter(({ episodeId }) => episodeId === mixed.id)).toMatchObject([
          { position: 0, answer: '7', label: false, standsFor: 2 },
          { position: 1, answer: '7', label: false, standsFor: 2 },
          { position: 6, answer: '8', label: false, standsFor: 2 },
          { position: 7, answer: '9', label: false, standsFor: 2 },
          { position: 8, answer: '12', label: true, standsFor: 2.5 },
          { position: 9, answer: '12', label: true, standsFor: 2.5 },
          { position: 10, answer: '12', label: true, standsFor: 2.5 },
          // The returned answer, of the lowest reward.
          { position: 17, answer: '12', label: true, standsFor: 2.5 },
        ])
        for (const { id } of [mixed, right, few]) {
          const of = (thoughts: typeof before) => weigh(thoughts.filter(({ episodeId }) => episodeId === id))
          expect(of(after)).toEqual(of(before))
        }
        expect(await training.thinThoughts('model-1', [mixed, right, few].map(keyOf))).toBe(0)
        expect(await read(mixed, right, few)).toEqual(after)
        expect((await training.snapshot(ask)).episodes).toHaveLength(3)
      })

      it('leaves alone what a caller has labelled, other models, other tenants and other episodes', async () => {
        const answers = times('12', 6)
        const referenced = sampled(answers, { reference: '12' })
        const [confirmed, refuted] = [sampled(answers), sampled(answers)]
        const others = [
          sampled(answers, { fingerprint: 'model-2' }),
          sampled(answers, { tenantId: 'tenant-b' }),
          sampled(answers),
        ]
        await addAll([referenced, confirmed, refuted, ...others])
        await store.label('tenant-a', confirmed.id, { correct: true })
        await store.label('tenant-a', refuted.id, { correct: false })
        const keys = [referenced, confirmed, refuted, others[0]!].map(keyOf)
        keys.push({ tenantId: 'tenant-a', episodeId: others[1]!.id })
        expect(await training.thinThoughts('model-1', keys)).toBe(0)
      })

      it('keeps a thought for the answer that feedback confirms later', async () => {
        const episode = sampled([...times('12', 9), ...times('7', 5), '8', '12'])
        await addAll([episode])
        expect(await training.thinThoughts('model-1', [keyOf(episode)])).toBe(8)
        for (const answer of ['12', '7', '8']) {
          await store.label('tenant-a', episode.id, { answer })
          const thoughts = await read(episode)
          expect(thoughts.some((one) => one.label && one.answer === answer)).toBe(true)
          expect(thoughts.map(({ position }) => position)).toContain(15)
          expect((await training.snapshot(ask)).episodes).toHaveLength(1)
        }
      })
    })

    describe('latent pairs', () => {
      it('are rounded to fp16 and come from retrievable episodes only', async () => {
        const retrievable = newEpisode({ seed: 5, question: 'What is 2 x 6?', embedding: unitVector(5, 6) })
        const silent = newEpisode({ latents: null })
        const unadmitted = newEpisode({ admitted: false })
        const other = newEpisode({ fingerprint: 'model-2' })
        await addAll([retrievable, silent, unadmitted, other])
        const keys = [silent, other, retrievable, unadmitted].map(keyOf)
        const { zBase, zStar } = retrievable.latents!
        const pairs = await Array.fromAsync(training.latentPairs('model-1', keys))
        expect(
          pairs.map((pair) => ({
            ...pair,
            zBase: unpackLatents(pair.zBase),
            zStar: unpackLatents(pair.zStar),
          })),
        ).toEqual([
          {
            ...keyOf(retrievable),
            question: 'What is 2 x 6?',
            embedding: unitVector(5, 6),
            zBase: { ...zBase, data: fromFloat16(toFloat16(zBase.data)) },
            zStar: { ...zStar, data: fromFloat16(toFloat16(zStar.data)) },
            label: true,
            labelSource: 'self',
          },
        ])
      })

      it('come once, with the label of the returned answer', async () => {
        const candidates = ['12', '13'].map((answer, index) => newCandidate({ answer, chosen: index === 1 }))
        const episode = newEpisode({ reference: '13', candidates })
        await addAll([episode])
        expect(await Array.fromAsync(training.latentPairs('model-1', [keyOf(episode)]))).toMatchObject([
          { label: true, labelSource: 'reference' },
        ])
      })
    })

    describe('held-out questions', () => {
      const asked = async (episodes: readonly NewEpisode[], limit = 10, rules = newEpisode()) =>
        await training.heldOutQuestions('model-1', episodes.map(keyOf), { limit, rules })

      it('come once for each tenant, in order, with all their episodes', async () => {
        const [first, second] = [newEpisode({ question: 'b?' }), newEpisode({ question: 'a?' })]
        const again = newEpisode({ question: 'b?' })
        const theirs = newEpisode({ question: 'b?', tenantId: 'tenant-b' })
        const other = newEpisode({ question: 'b?', fingerprint: 'model-2' })
        await addAll([first, second, again, theirs, other])
        expect(await asked([first, second, theirs, first])).toEqual([
          {
            tenantId: 'tenant-a',
            question: 'b?',
            reference: null,
            referenceSource: null,
            episodeIds: [first.id, again.id].sort(),
          },
          {
            tenantId: 'tenant-a',
            question: 'a?',
            reference: null,
            referenceSource: null,
            episodeIds: [second.id],
          },
          {
            tenantId: 'tenant-b',
            question: 'b?',
            reference: null,
            referenceSource: null,
            episodeIds: [theirs.id],
          },
        ])
        expect(await asked([first, second], 1)).toMatchObject([{ question: 'b?' }])
        await store.remove('tenant-a', second.id)
        expect(await asked([second, other])).toEqual([])
      })

      it('have the right answer by feedback, or else by reference', async () => {
        const episodes = [1, 2, 3, 4, 5].map((n) =>
          newEpisode({ question: `${n}?`, reference: n < 3 ? null : n === 4 ? '12' : '7', answer: '12' }),
        )
        await addAll(episodes)
        const [, right, corrected, wrong, unlike] = episodes
        await store.label('tenant-a', right!.id, { correct: true })
        await store.label('tenant-a', corrected!.id, { answer: '8' })
        await store.label('tenant-a', wrong!.id, { correct: false })
        await store.label('tenant-a', unlike!.id, { correct: false })
        expect((await asked(episodes)).map(({ reference }) => reference)).toEqual([
          null,
          '12',
          '8',
          null,
          '7',
        ])
      })

      it('have the right answer by feedback on any of their episodes', async () => {
        const first = newEpisode({ question: 'same?', answer: '12' })
        const second = newEpisode({ question: 'same?', answer: '13', reference: '14' })
        await addAll([first, second])
        expect(await asked([first])).toMatchObject([{ reference: '14', referenceSource: 'reference' }])
        await store.label('tenant-a', second.id, { correct: true })
        expect(await asked([first])).toMatchObject([{ reference: '13', referenceSource: 'feedback' }])
      })

      it('have the answer of at least half of the samples of one episode, unless it was refuted', async () => {
        const sampled = (question: string, answers: readonly (string | null)[]) =>
          newEpisode({
            question,
            answer: answers[0] ?? null,
            candidates: answers.map((answer, index) =>
              newCandidate({ kind: 'sample', answer, chosen: index === 0 }),
            ),
          })
        const half = sampled('half?', ['1', '1', '2', null])
        const tied = sampled('tied?', ['1', '1', '2', '2'])
        const less = sampled('less?', ['1', '2', '3', null])
        const wrong = sampled('wrong?', ['1', '1', '1'])
        await addAll([half, tied, less, wrong])
        await store.label('tenant-a', wrong.id, { correct: false })
        const found = await asked([half, tied, less, wrong])
        expect(found.map(({ reference, referenceSource }) => [reference, referenceSource])).toEqual([
          ['1', 'majority'],
          [null, null],
          [null, null],
          [null, null],
        ])
      })
    })

    describe('held-out questions whose answers have other rules', () => {
      const byPercent = { question: 'share?', answer: '50', reference: '50', answerRules: 'answers-0' }
      const today = { answerRules: 'answers-1', judgeFingerprint: 'judge-1' }
      const asked = async (episodes: readonly NewEpisode[], rules = today) =>
        (await training.heldOutQuestions('model-1', episodes.map(keyOf), { limit: 9, rules })).map(
          ({ reference, referenceSource, episodeIds }) => [reference, referenceSource, episodeIds.length],
        )
      const sampled = (answer: string, over: Partial<NewEpisode> = {}) =>
        newEpisode({
          ...over,
          answer,
          candidates: [true, false].map((chosen) => newCandidate({ kind: 'sample', answer, chosen })),
        })

      it('have no right answer, until one of today is known', async () => {
        const old = sampled('50', byPercent)
        await addAll([old])
        await store.label('tenant-a', old.id, { correct: true })
        expect(await asked([old])).toEqual([[null, null, 1]])
        expect(await asked([old], { ...today, answerRules: 'answers-0' })).toEqual([['50', 'feedback', 1]])
        const majority = sampled('1/2', { question: 'share?' })
        await addAll([majority])
        expect(await asked([old])).toEqual([['1/2', 'majority', 2]])
      })

      it('refute no answer of today', async () => {
        const old = sampled('50', byPercent)
        const majority = sampled('50', { question: 'share?' })
        await addAll([majority, old])
        await store.label('tenant-a', old.id, { correct: false })
        expect(await asked([majority])).toEqual([['50', 'majority', 2]])
      })

      it('compare when an earlier release stored them, under the same judge', async () => {
        const old = newEpisode({ ...byPercent, answerRules: '' })
        await addAll([old])
        expect(await asked([old])).toEqual([['50', 'reference', 1]])
        expect(await asked([old], { ...today, judgeFingerprint: 'judge-2' })).toEqual([[null, null, 1]])
      })
    })

    describe('uncertain questions', () => {
      const p = (question: string, correctness: number, over: Partial<NewEpisode> = {}) =>
        newEpisode({
          question,
          candidates: [newCandidate({ rewardTerms: { 'verifier.correctness': correctness } })],
          ...over,
        })
      const found = async (since: Date | null = null, perTenant = 10) =>
        (await training.uncertainQuestions('model-1', { since, perTenant })).map(({ question }) => question)

      it('come unadmitted first, then by the distance of P(correct) from one half', async () => {
        await addAll([
          p('sure?', -0.01),
          p('unsure?', -0.45),
          p('unadmitted?', -0.9, { admitted: false }),
          p('other model?', -0.5, { fingerprint: 'model-2' }),
          p('sampled at night?', -0.5, { origin: 'night' }),
        ])
        expect(await found()).toEqual(['unadmitted?', 'unsure?', 'sure?'])
        expect(await found(null, 1)).toEqual(['unadmitted?'])
        expect(await found(new Date(Date.now() + 3_600_000))).toEqual([])
      })

      it('have neither feedback nor a reference on any episode', async () => {
        const [labelled, again] = [p('labelled?', -0.5), p('labelled?', -0.5)]
        await addAll([labelled, again, p('referenced?', -0.5, { reference: '12' }), p('open?', -0.5)])
        await store.label('tenant-a', labelled.id, { correct: false })
        expect(await found()).toEqual(['open?'])
      })
    })

    describe('answered questions', () => {
      const later = () => new Date(Date.now() + 60_000)
      const found = async (options: { salt?: string; before?: Date; limit?: number } = {}) =>
        await training.answeredQuestions('model-1', { salt: 'a', before: later(), limit: 10, ...options })
      const textsOf = async (options: Parameters<typeof found>[0] = {}) =>
        (await found(options)).map(({ question }) => question)
      const byAuto = (question: string) => newEpisode({ question, strategy: 'auto', reference: null })

      it('have a reference, or feedback on `auto` that tells the right answer', async () => {
        const praised = byAuto('praised?')
        const corrected = byAuto('corrected?')
        const refuted = byAuto('refuted?')
        const voted = newEpisode({ question: 'voted?', strategy: 'majority', reference: null })
        const referenced = newEpisode({ question: 'referenced?', strategy: 'majority', reference: '12' })
        const theirs = newEpisode({ question: 'theirs?', fingerprint: 'model-2', reference: '12' })
        await addAll([praised, corrected, refuted, voted, referenced, theirs, byAuto('open?')])
        await store.label('tenant-a', praised.id, { correct: true })
        await store.label('tenant-a', corrected.id, { answer: '8' })
        for (const { id } of [refuted]) await store.label('tenant-a', id, { correct: false })
        await store.label('tenant-a', voted.id, { correct: true })
        expect((await textsOf()).sort()).toEqual(['corrected?', 'praised?', 'referenced?'])
        expect(await found()).toContainEqual({
          tenantId: 'tenant-a',
          episodeId: referenced.id,
          question: 'referenced?',
        })
      })

      it('are drawn by the salt, each once', async () => {
        const questions = Array.from({ length: 8 }, (_, index) => `${index}?`)
        await addAll([...questions, '0?'].map((question) => newEpisode({ question, reference: '12' })))
        const all = await textsOf()
        expect(all.toSorted()).toEqual(questions)
        expect(await textsOf({ limit: 3 })).toEqual(all.slice(0, 3))
        expect(await textsOf({ salt: 'b' })).not.toEqual(all)
      })

      it('were not sampled by an earlier night that knew the answer', async () => {
        await addAll([
          newEpisode({ question: 'sampled?', reference: '12' }),
          newEpisode({ question: 'sampled?', reference: '12', origin: 'night' }),
          newEpisode({ question: 'voted?', reference: '12' }),
          newEpisode({ question: 'voted?', reference: null, origin: 'night' }),
        ])
        expect(await textsOf()).toEqual(['voted?'])
        // Another attempt of the same night draws the same questions.
        expect((await textsOf({ before: new Date(0) })).sort()).toEqual(['sampled?', 'voted?'])
      })
    })

    it('neither counts episodes of a night nor takes them as asked', async () => {
      const [asked, sampled] = [newEpisode(), newEpisode({ origin: 'night' })]
      await addAll([asked, sampled])
      expect(await training.countSince('model-1', null)).toBe(1)
      const snapshot = await training.snapshot({
        fingerprint: 'model-1',
        material: 'asked',
        maxTenantShare: 1,
      })
      expect(snapshot.episodes.map(({ episodeId }) => episodeId)).toEqual([asked.id])
    })

    it('lists the models that have episodes', async () => {
      expect(await training.models()).toEqual([])
      await addAll([thinking(), thinking({ fingerprint: 'model-2', tenantId: 'tenant-b' }), thinking()])
      expect(await training.models()).toEqual(['model-1', 'model-2'])
    })

    describe('dominated episodes', () => {
      const retrievable = async (): Promise<string[]> => {
        const { rows } = await test.database.pool.query('select id from episodes where steers')
        return rows.map(({ id }) => id).sort()
      }
      const exclude = () => training.excludeDominated('model-1', ['tenant-a', 'tenant-b'])
      const idsOf = (...episodes: readonly NewEpisode[]) => episodes.map(({ id }) => id).sort()

      it('are excluded: the best reward of a question stays, then fewest iterations, then newest', async () => {
        const one = (seed: number, over: Partial<NewEpisode>) =>
          newEpisode({ seed, question: 'same?', ...over })
        const best = one(1, { reward: -0.1, iterations: 9 })
        await addAll([one(2, { reward: -0.2, iterations: 0 }), best, one(3, { reward: -0.3 })])
        const quick = newEpisode({ seed: 4, question: 'other?', iterations: 1 })
        await addAll([quick, newEpisode({ seed: 5, question: 'other?', iterations: 2 })])
        const newest = newEpisode({ seed: 7, question: 'third?' })
        await addAll([newEpisode({ seed: 6, question: 'third?' }), newest])
        expect(await exclude()).toBe(4)
        expect(await retrievable()).toEqual(idsOf(best, quick, newest))
        expect(await exclude()).toBe(0)
        expect((await store.list('tenant-a', { limit: 10 })).episodes).toHaveLength(7)
      })

      it('are not compared by the rewards of different judges', async () => {
        const one = (seed: number, reward: number, judgeFingerprint: string) =>
          newEpisode({ seed, reward, judgeFingerprint })
        const [lenient, strict, better] = [one(1, -0.1, 'old'), one(2, -0.5, 'new'), one(3, -0.4, 'new')]
        await addAll([lenient, strict, better])
        expect(await exclude()).toBe(1)
        expect(await retrievable()).toEqual(idsOf(lenient, better))
        await store.label('tenant-a', better.id, { correct: true })
        await exclude()
        expect(await retrievable()).toEqual(idsOf(better))
      })

      it('are near-duplicates by embedding within one tenant and model', async () => {
        const near = (by: number) => {
          const embedding = unitVector(1, 8)
          embedding[0]! += by
          return embedding
        }
        const best = newEpisode({ question: 'a?', embedding: near(0), reward: -0.1 })
        const close = newEpisode({ question: 'b?', embedding: near(0.01) })
        const far = newEpisode({ question: 'c?', embedding: near(0.2) })
        const theirs = newEpisode({ question: 'a?', embedding: near(0), tenantId: 'tenant-b' })
        const other = newEpisode({ question: 'a?', embedding: near(0), fingerprint: 'model-2' })
        await addAll([best, close, far, theirs, other])
        expect(await exclude()).toBe(1)
        expect(await retrievable()).toEqual(idsOf(best, far, theirs, other))
      })

      it('are no longer used for the weaver, but still for the latent reward model', async () => {
        const [worse, better] = [thinking({ seed: 1, reward: -0.2 }), thinking({ seed: 2, reward: -0.1 })]
        await addAll([worse, better])
        await exclude()
        expect((await training.snapshot({ ...ask, material: 'latents' })).episodes).toEqual([keyOf(better)])
        expect((await training.snapshot(ask)).episodes).toHaveLength(2)
      })

      it('are found among many', async () => {
        const episodes = Array.from({ length: 120 }, (_, seed) =>
          newEpisode({ seed, question: `${seed % 60}?`, reward: -seed / 1000 }),
        )
        await addAll(episodes, { index: false })
        expect(await exclude()).toBe(60)
        expect(await retrievable()).toEqual(idsOf(...episodes.slice(0, 60)))
      }, 30_000)
    })

    describe('steering', () => {
      const steering = async (): Promise<string[]> => {
        const { rows } = await test.database.pool.query('select id from episodes where steers')
        return rows.map(({ id }) => id).sort()
      }
      const exclude = () => training.excludeDominated('model-1', ['tenant-a'])
      const idsOf = (...episodes: readonly NewEpisode[]) => episodes.map(({ id }) => id).sort()

      it('weighs the thoughts of a majority by agreement', async () => {
        const candidates = ['12', '12', '12', '13'].map((answer, index) =>
          newCandidate({ kind: 'sample', answer, chosen: index === 0, thought: thoughtOf(index) }),
        )
        const episode = newEpisode({ candidates })
        await addAll([episode])
        const thoughts = await Array.fromAsync(training.labelledThoughts('model-1', [keyOf(episode)]))
        expect(thoughts.map(({ labelWeight }) => labelWeight)).toEqual([0.75, 0.75, 0.75, 0.75])
      })

      it('prefers a confirmed episode to one of a higher reward', async () => {
        const confirmed = newEpisode({ seed: 1, reward: -0.2 })
        const judged = newEpisode({ seed: 2, reward: -0.1 })
        await addAll([confirmed, judged])
        await store.label('tenant-a', confirmed.id, { correct: true })
        expect(await exclude()).toBe(1)
        expect(await steering()).toEqual(idsOf(confirmed))
      })

      it('lets a refuted episode exclude none, and what it excluded comes back', async () => {
        const [best, good] = [newEpisode({ seed: 1, reward: -0.1 }), newEpisode({ seed: 2, reward: -0.2 })]
        await addAll([best, good])
        await exclude()
        expect(await steering()).toEqual(idsOf(best))
        await store.label('tenant-a', best.id, { correct: false })
        expect(await steering()).toEqual(idsOf(good))
        expect(await exclude()).toBe(0)
        await store.label('tenant-a', best.id, { correct: true })
        expect(await exclude()).toBe(1)
        expect(await steering()).toEqual(idsOf(best))
        await store.remove('tenant-a', best.id)
        expect(await steering()).toEqual(idsOf(good))
      })

      it('come back when the better one, dominated itself in a later night, is refuted', async () => {
        const [good, better, best] = [-0.3, -0.2, -0.1].map((reward, seed) => newEpisode({ seed, reward }))
        await addAll([good!, better!])
        await exclude()
        await addAll([best!])
        await exclude()
        expect(await steering()).toEqual(idsOf(best!))
        await store.label('tenant-a', better!.id, { correct: false })
        await store.remove('tenant-a', best!.id)
        expect(await steering()).toEqual(idsOf(good!))
      })

      it('puts a dominated episode that is confirmed back into the comparison', async () => {
        const [best, good] = [newEpisode({ seed: 1, reward: -0.1 }), newEpisode({ seed: 2, reward: -0.2 })]
        await addAll([best, good])
        await exclude()
        await store.label('tenant-a', good.id, { correct: true })
        await exclude()
        expect(await steering()).toEqual(idsOf(good))
      })

      it('gives no latents of refuted or withdrawn episodes to the weaver', async () => {
        const parent = newEpisode({ seed: 1, question: 'a?' })
        const child = newEpisode({ seed: 2, question: 'b?', ancestors: [parent.id] })
        await addAll([parent, child])
        const pairs = () => Array.fromAsync(training.latentPairs('model-1', [parent, child].map(keyOf)))
        expect(await pairs()).toHaveLength(2)
        await store.label('tenant-a', parent.id, { correct: false })
        expect(await pairs()).toEqual([])
      })
    })

    describe('learning days', () => {
      it('sum the answers to requests by day in UTC, strategy and versions', async () => {
        const today = Date.parse(`${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`)
        const dayBefore = new Date(today - 86_400_000).toISOString().slice(0, 10)
        const earlier = now
        now = today - 2 * 86_400_000
        await addAll([newEpisode()])
        now = today - 1_000
        const [wrong, right] = [newEpisode({ iterations: 4 }), newEpisode({ iterations: 0 })]
        await addAll([
          wrong,
          right,
          newEpisode({ strategy: 'greedy', iterations: 0, stopped: 'end' }),
          newEpisode({ weaverVersion: 'weaver-1', tenantId: 'tenant-b' }),
          newEpisode({ origin: 'night', question: wrong.question }),
          newEpisode({ fingerprint: 'model-2' }),
        ])
        await store.label('tenant-a', wrong.id, { correct: false })
        await store.label('tenant-a', right.id, { correct: true })
        const days = (count: number) => training.learningDays({ fingerprint: 'model-1', days: count })
        const none = { weaverVersion: null, lrmVersion: null, judgeVersion: null }
        const one = { day: dayBefore, ...none, episodes: 1, labelled: 0, right: 0, firstPass: 0, tokens: 64 }
        expect(await days(2)).toEqual([
          {
            ...one,
            strategy: 'greedy',
            steps: 0,
          },
          {
            ...one,
            strategy: 'latentseek',
            weaverVersion: 'weaver-1',
            steps: 2,
          },
          {
            ...one,
            strategy: 'latentseek',
            episodes: 2,
            labelled: 2,
            right: 1,
            firstPass: 1,
            steps: 4,
            tokens: 128,
          },
        ])
        expect(await days(3)).toHaveLength(4)
        expect(await days(1)).toEqual([])
        expect(await training.learningDays({ fingerprint: 'model-3', days: 9 })).toEqual([])
        await store.removeAll('tenant-a')
        expect((await days(3)).map(({ weaverVersion }) => weaverVersion)).toEqual(['weaver-1'])
        now = earlier
      })
    })

    describe('count since', () => {
      it('counts the later episodes of a model, in any state', async () => {
        await addAll([thinking(), newEpisode({ tenantId: 'tenant-b' })])
        const { newestAt } = await training.snapshot(ask)
        expect(await training.countSince('model-1', newestAt)).toBe(0)
        await addAll([newEpisode(), thinking({ fingerprint: 'model-2' })], { index: false })
        expect(await training.countSince('model-1', newestAt)).toBe(1)
        expect(await training.countSince('model-1', null)).toBe(3)
        expect(await training.countSince('model-3', null)).toBe(0)
      })
    })
  })
}
