/**
 * @file The tests of artifact store and consolidation store, run on the embedded database and on a server.
 */

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type Artifact,
  type ArtifactStore,
  type ConsolidationStore,
  createArtifactStore,
  createConsolidationStore,
  createLearningStore,
  pruneArtifacts,
  pruneSteps,
} from '#artifacts'
import {
  createEpisodeStore,
  createOutbox,
  type EpisodeStore,
  type Outbox,
  pruneEpisodes,
  pruneExcessEpisodes,
} from '#episodes'
import { newArtifact } from './artifacts.ts'
import { newEpisode } from './episodes.ts'
import { eraseAll } from './erase-all.ts'
import type { TestDatabase } from './test-database.ts'

const NOWHERE = '00000000-0000-4000-8000-000000000000'
const NO_IDS = ['', 'abc', NOWHERE, `${NOWHERE}0`, "'; drop table artifacts"]
const NO_ARTIFACT = expect.objectContaining({ code: 'ARTIFACT_NOT_FOUND' })
const NO_CONSOLIDATION = expect.objectContaining({ code: 'CONSOLIDATION_NOT_FOUND' })
const LEASE = 60_000

export function describeArtifactStore(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`artifacts and consolidations on ${name}`, () => {
    let test: TestDatabase
    let artifacts: ArtifactStore
    let consolidations: ConsolidationStore
    let episodes: EpisodeStore
    let outbox: Outbox
    let now = Date.parse('2026-03-01T10:00:00.000Z')

    beforeAll(async () => {
      test = await createDatabase()
      const { database } = test
      artifacts = createArtifactStore({ database })
      consolidations = createConsolidationStore({ database })
      episodes = createEpisodeStore({ database, clock: () => now })
      outbox = createOutbox({ database })
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query(
        'truncate episodes, consolidations, outbox, deletions, tenant_cutoffs cascade',
      )
    })

    async function request(fingerprint = 'model-1') {
      const kinds = ['lrm'] as const
      return consolidations.request({ fingerprint, kinds, force: false, trigger: 'request' })
    }

    /** Adds an ended consolidation, so that the next one can be requested. */
    async function endedConsolidation(fingerprint = 'model-1'): Promise<string> {
      const { id } = await request(fingerprint)
      await consolidations.finish(id, { status: 'failed', error: 'x' })
      return id
    }

    async function addArtifact(over: Parameters<typeof newArtifact>[1] = {}): Promise<Artifact> {
      return artifacts.add(newArtifact(await endedConsolidation(), over))
    }

    const activeVersions = async (fingerprint = 'model-1') =>
      Object.values(await artifacts.active(fingerprint)).map(({ version }) => version)

    describe('artifacts', () => {
      it('are returned as they were added', async () => {
        const keys = ['b', 'a', 'c'].map((tenantId) => newEpisode({ tenantId }))
        for (const episode of keys) await episodes.add(episode)
        const trained = keys.map(({ tenantId, id }) => ({ tenantId, episodeId: id }))
        const made = newArtifact(await endedConsolidation(), { manifest: { episodes: trained } })
        const added = await artifacts.add(made)
        expect(added).toEqual({
          id: expect.any(String),
          kind: 'lrm',
          version: 'lrm-1',
          fingerprint: 'model-1',
          sha256: createHash('sha256').update(made.bytes).digest('hex'),
          bytes: 300,
          status: 'candidate',
          passed: null,
          active: false,
          activatedBy: null,
          rolledBackAt: null,
          stale: false,
          erasedEpisodes: 0,
          expiredEpisodes: 0,
          available: true,
          createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
          consolidationId: made.consolidationId,
          reason: null,
          metrics: made.metrics,
          baseline: {},
          features: made.manifest.features,
          episodes: 3,
        })
        expect(await artifacts.bytes(added.id)).toEqual(made.bytes)
        expect(await artifacts.manifest(added.id)).toEqual(made.manifest)
        expect(await artifacts.list({ limit: 9 })).toEqual([added])
      })

      it('can have megabytes of bytes', async () => {
        const bytes = Uint8Array.from({ length: 3_000_000 }, (_, index) => (index * 7919) % 251)
        const { id } = await addArtifact({ bytes })
        expect(Buffer.from(await artifacts.bytes(id)).equals(bytes)).toBe(true)
      })

      it('are the first one added for each consolidation and kind', async () => {
        const consolidationId = await endedConsolidation()
        const first = await artifacts.add(newArtifact(consolidationId))
        const again = await artifacts.add(newArtifact(consolidationId, { bytes: Uint8Array.of(1) }))
        expect(again).toEqual(first)
        const weaver = await artifacts.add(newArtifact(consolidationId, { manifest: { kind: 'weaver' } }))
        expect(weaver.version).toBe('weaver-1')
      })

      it('are numbered by kind and model', async () => {
        const versions: string[] = []
        for (const [kind, fingerprint] of [
          ['lrm', 'model-1'],
          ['lrm', 'model-1'],
          ['lrm', 'model-2'],
          ['weaver', 'model-1'],
          ['lrm', 'model-1'],
        ] as const) {
          const { version } = await addArtifact({ manifest: { kind, fingerprint } })
          versions.push(`${fingerprint} ${version}`)
        }
        expect(versions).toEqual([
          'model-1 lrm-1',
          'model-1 lrm-2',
          'model-2 lrm-1',
          'model-1 weaver-1',
          'model-1 lrm-3',
        ])
      })

      it('are listed newest first, by model and kind', async () => {
        const added: Artifact[] = []
        for (const manifest of [{}, { fingerprint: 'model-2' }, { kind: 'weaver' }, {}] as const)
          added.push(await addArtifact({ manifest }))
        const [first, other, weaver, last] = added.map(({ id }) => id)
        const idsOf = async (filter: Parameters<ArtifactStore['list']>[0]) =>
          (await artifacts.list(filter)).map(({ id }) => id)
        expect(await idsOf({ limit: 9 })).toEqual([last, weaver, other, first])
        expect(await idsOf({ limit: 2 })).toEqual([last, weaver])
        expect(await idsOf({ fingerprint: 'model-1', limit: 9 })).toEqual([last, weaver, first])
        expect(await idsOf({ fingerprint: 'model-1', kind: 'lrm', limit: 9 })).toEqual([last, first])
        expect(await idsOf({ fingerprint: 'model-3', limit: 9 })).toEqual([])
      })

      it('throw ARTIFACT_INVALID when their bytes have changed', async () => {
        const { id } = await addArtifact()
        await artifacts.settle(id, { promoted: true, reason: null })
        await test.database.pool.query('update artifacts set bytes = set_byte(bytes, 7, 0) where id = $1', [
          id,
        ])
        await expect(artifacts.bytes(id)).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })
        await expect(artifacts.activate(id, 'model-1')).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })
      })

      it('require an existing consolidation and an existing id', async () => {
        for (const id of NO_IDS) {
          await expect(artifacts.add(newArtifact(id))).rejects.toEqual(NO_CONSOLIDATION)
          await expect(artifacts.bytes(id)).rejects.toEqual(NO_ARTIFACT)
          await expect(artifacts.manifest(id)).rejects.toEqual(NO_ARTIFACT)
          await expect(artifacts.settle(id, { promoted: true, reason: null })).rejects.toEqual(NO_ARTIFACT)
          await expect(artifacts.activate(id, 'model-1')).rejects.toEqual(NO_ARTIFACT)
        }
      })
    })

    describe('the active version', () => {
      it('is absent at first, then the last promoted one by kind and model', async () => {
        expect(await artifacts.active('model-1')).toEqual({})
        const lrm = await addArtifact()
        expect(await artifacts.active('model-1')).toEqual({})
        await artifacts.settle(lrm.id, { promoted: true, reason: null })
        const weaver = await addArtifact({ manifest: { kind: 'weaver' } })
        await artifacts.settle(weaver.id, { promoted: true, reason: null })
        const other = await addArtifact({ manifest: { fingerprint: 'model-2' } })
        await artifacts.settle(other.id, { promoted: true, reason: null })
        const next = await addArtifact()
        const settled = await artifacts.settle(next.id, { promoted: true, reason: 'auc +0.02' })
        expect(settled).toEqual({
          ...next,
          status: 'promoted',
          passed: true,
          active: true,
          activatedBy: 'promotion',
          reason: 'auc +0.02',
        })
        expect(await artifacts.active('model-1')).toEqual({
          lrm: settled,
          weaver: { ...weaver, status: 'promoted', passed: true, active: true, activatedBy: 'promotion' },
        })
        expect(await activeVersions('model-2')).toEqual(['lrm-1'])
      })

      it('stays when a candidate is rejected; the candidate is stored with the reason', async () => {
        const first = await addArtifact()
        await artifacts.settle(first.id, { promoted: true, reason: null })
        const second = await addArtifact()
        const settled = await artifacts.settle(second.id, { promoted: false, reason: 'auc\0 -0.1' })
        expect(settled).toEqual({
          ...second,
          status: 'rejected',
          passed: false,
          reason: 'auc\ufffd -0.1',
        })
        expect(await activeVersions()).toEqual(['lrm-1'])
        expect(await artifacts.bytes(second.id)).toHaveLength(300)
      })

      it('can be changed by hand, which a repeated verdict does not undo', async () => {
        const [first, second] = [await addArtifact(), await addArtifact()]
        for (const { id } of [first, second]) await artifacts.settle(id, { promoted: true, reason: null })
        expect(await artifacts.activate(first.id, 'model-1')).toMatchObject({
          version: 'lrm-1',
          status: 'promoted',
          active: true,
        })
        await artifacts.settle(second.id, { promoted: true, reason: null })
        const contradicted = await artifacts.settle(second.id, { promoted: false, reason: 'no' })
        expect(contradicted).toMatchObject({ status: 'promoted', active: false, reason: null })
        expect(await activeVersions()).toEqual(['lrm-1'])
        await artifacts.activate(second.id, 'model-1')
        await artifacts.activate(second.id, 'model-1')
        expect(await activeVersions()).toEqual(['lrm-2'])
      })

      it('is a version that the gate did not promote only by force', async () => {
        const [rejected, candidate] = [await addArtifact(), await addArtifact()]
        await artifacts.settle(rejected.id, { promoted: false, reason: 'worse' })
        for (const { id } of [rejected, candidate]) {
          await expect(artifacts.activate(id, 'model-1')).rejects.toMatchObject({
            code: 'ARTIFACT_NOT_PROMOTED',
          })
        }
        expect(await activeVersions()).toEqual([])
        await artifacts.activate(rejected.id, 'model-1', { force: true })
        expect(await activeVersions()).toEqual(['lrm-1'])
      })

      it('is never an artifact of another model', async () => {
        const [ours, theirs] = [
          await addArtifact(),
          await addArtifact({ manifest: { fingerprint: 'model-2' } }),
        ]
        await artifacts.settle(ours.id, { promoted: true, reason: null })
        await expect(artifacts.activate(theirs.id, 'model-1')).rejects.toMatchObject({
          code: 'ARTIFACT_INVALID',
          message: 'activate artifact: expected an artifact of model model-1, got lrm-1 of model-2',
        })
        expect(await activeVersions('model-1')).toEqual(['lrm-1'])
        expect(await activeVersions('model-2')).toEqual([])
      })
    })

    describe('a review', () => {
      const passed = { promoted: true, isReviewed: true, reason: 'auc +0.02' } as const

      it('lets a candidate that passed wait until it is activated without force, which promotes it', async () => {
        const first = await addArtifact()
        await artifacts.settle(first.id, { promoted: true, isAnchor: true, reason: null })
        const waiting = await addArtifact()
        const settled = await artifacts.settle(waiting.id, { ...passed, isAnchor: true })
        expect(settled).toEqual({ ...waiting, passed: true, reason: 'auc +0.02' })
        // The first verdict stays.
        const again = await artifacts.settle(waiting.id, { promoted: false, reason: 'no' })
        expect(again).toEqual(settled)
        expect(await activeVersions()).toEqual(['lrm-1'])
        expect((await artifacts.anchors('model-1')).lrm).toMatchObject({ version: 'lrm-1' })

        const activated = await artifacts.activate(waiting.id, 'model-1')
        expect(activated).toEqual({ ...settled, status: 'promoted', active: true, activatedBy: 'promotion' })
        expect((await artifacts.active('model-1')).lrm).toEqual(activated)
        expect((await artifacts.anchors('model-1')).lrm).toEqual(activated)
        // The version before can be activated again; both stay promoted.
        await artifacts.activate(first.id, 'model-1')
        await artifacts.activate(waiting.id, 'model-1')
      })

      it.each(['another version', 'no version'])(
        'comes for a candidate when %s is active than it was compared with, also when none was asked for',
        async (which) => {
          const [first, second] = [await addArtifact(), await addArtifact()]
          for (const { id } of [first, second]) await artifacts.settle(id, { promoted: true, reason: null })
          // An operator or a rollback changes the active version between the gate and the promotion.
          if (which === 'another version') await artifacts.activate(first.id, 'model-1')
          else await test.database.pool.query('update artifacts set active = false')
          const verdict = { promoted: true, isAnchor: true, reason: 'auc +0.02' }
          const late = await addArtifact()
          expect(await artifacts.settle(late.id, { ...verdict, comparedWith: second.id })).toMatchObject({
            status: 'candidate',
            passed: true,
            active: false,
            reason: `auc +0.02; waits for its activation by an operator: ${which === 'no version' ? which : 'lrm-1'} is active now, and the gate compared with another`,
          })
          expect(await activeVersions()).toEqual(which === 'no version' ? [] : ['lrm-1'])
          expect(await artifacts.anchors('model-1')).toEqual({})
          expect(await artifacts.activate(late.id, 'model-1')).toMatchObject({ status: 'promoted' })
          const next = await addArtifact()
          expect(await artifacts.settle(next.id, { ...verdict, comparedWith: late.id })).toMatchObject({
            status: 'promoted',
            active: true,
            reason: 'auc +0.02',
          })
        },
      )

      it('ends when an operator rejects the candidate; nothing else can be rejected', async () => {
        const first = await addArtifact()
        await artifacts.settle(first.id, { promoted: true, reason: null })
        const waiting = await addArtifact()
        const review = { fingerprint: 'model-1', reason: 'too \u0000slow' }
        const notWaiting = expect.objectContaining({ code: 'ARTIFACT_NOT_WAITING' })
        await expect(artifacts.reject(waiting.id, review)).rejects.toEqual(notWaiting)
        await artifacts.settle(waiting.id, passed)
        await expect(
          artifacts.reject(waiting.id, { ...review, fingerprint: 'model-2' }),
        ).rejects.toMatchObject({
          code: 'ARTIFACT_INVALID',
        })
        expect(await artifacts.reject(waiting.id, review)).toMatchObject({
          status: 'rejected',
          passed: true,
          active: false,
          reason: 'auc +0.02; rejected by an operator: too \ufffdslow',
        })
        for (const { id } of [first, waiting])
          await expect(artifacts.reject(id, review)).rejects.toEqual(notWaiting)
        await expect(artifacts.reject('nowhere', review)).rejects.toMatchObject({
          code: 'ARTIFACT_NOT_FOUND',
        })
        expect(await activeVersions()).toEqual(['lrm-1'])
        await expect(artifacts.activate(waiting.id, 'model-1')).rejects.toMatchObject({
          code: 'ARTIFACT_NOT_PROMOTED',
        })
      })

      it('leaves the anchor when the verdict named none', async () => {
        const [first, waiting] = [await addArtifact(), await addArtifact()]
        await artifacts.settle(first.id, { promoted: true, isAnchor: true, reason: null })
        await artifacts.settle(waiting.id, passed)
        await artifacts.activate(waiting.id, 'model-1')
        expect((await artifacts.anchors('model-1')).lrm).toMatchObject({ version: 'lrm-1' })
      })

      it.each([true, false])(
        'ends with a newer version of the kind that passed (reviewed: %s)',
        async (isReviewed) => {
          const waiting = await addArtifact()
          const weaver = await addArtifact({ manifest: { kind: 'weaver' } })
          await artifacts.settle(waiting.id, passed)
          await artifacts.settle(weaver.id, passed)
          const failed = await addArtifact()
          await artifacts.settle(failed.id, { promoted: false, isReviewed, reason: 'worse' })
          const find = async (id: string) => (await artifacts.list({ limit: 9 })).find((a) => a.id === id)
          expect(await find(waiting.id)).toMatchObject({ status: 'candidate', passed: true })

          const newer = await addArtifact()
          await artifacts.settle(newer.id, { ...passed, isReviewed })
          expect(await find(waiting.id)).toMatchObject({
            status: 'rejected',
            passed: true,
            reason: 'auc +0.02; superseded by lrm-3, which passed the gate after it',
          })
          expect(await find(weaver.id)).toMatchObject({ status: 'candidate', passed: true })
          await expect(artifacts.activate(waiting.id, 'model-1')).rejects.toMatchObject({
            code: 'ARTIFACT_NOT_PROMOTED',
          })
        },
      )
    })

    it('learning is frozen from the first freeze to the next unfreeze', async () => {
      const learning = createLearningStore({ database: test.database })
      expect(await learning.state()).toEqual({ frozenSince: null, reason: null })
      const frozen = await learning.freeze({ reason: 'odd\0 answers' })
      expect(frozen).toEqual({
        frozenSince: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        reason: 'odd\ufffd answers',
      })
      expect(await learning.freeze()).toEqual(frozen)
      expect(await learning.freeze({ reason: 'later' })).toEqual(frozen)
      expect(await learning.state()).toEqual(frozen)
      for (let call = 0; call < 2; call++)
        expect(await learning.unfreeze()).toEqual({ frozenSince: null, reason: null })
      expect(await learning.freeze()).toMatchObject({ reason: null })
      await learning.unfreeze()
    })

    describe('deleted episodes', () => {
      async function trainedOn(...trained: readonly { tenantId: string; id: string }[]): Promise<string> {
        const keys = trained.map(({ tenantId, id }) => ({ tenantId, episodeId: id }))
        return (await addArtifact({ manifest: { episodes: keys } })).id
      }

      async function stale(): Promise<string[]> {
        return (await artifacts.list({ limit: 99 })).filter((artifact) => artifact.stale).map(({ id }) => id)
      }

      const countsOf = ({ id, erasedEpisodes, expiredEpisodes }: Artifact) => [
        id,
        erasedEpisodes,
        expiredEpisodes,
      ]

      it('make artifacts trained on them stale, one by one or by tenant', async () => {
        const [one, two, three] = [newEpisode(), newEpisode(), newEpisode()]
        // This id in another tenant is another episode.
        const theirs = newEpisode({ tenantId: 'tenant-b', id: one.id })
        for (const episode of [one, two, three, theirs]) await episodes.add(episode)
        const onTheirs = await trainedOn(theirs)
        const onFirst = await trainedOn(one, two)
        const onRest = await trainedOn(three)
        const onNothing = await trainedOn()
        const { deletion } = await episodes.influence('tenant-a', one.id)
        expect(deletion.artifacts).toEqual([{ id: onFirst, version: expect.any(String), active: false }])
        await episodes.remove('tenant-a', one.id)
        expect(await stale()).toEqual([onFirst])
        await expect(episodes.remove('tenant-a', one.id)).rejects.toMatchObject({ code: 'EPISODE_NOT_FOUND' })
        await episodes.removeAll('tenant-a')
        await eraseAll(test.database)
        expect(new Set(await stale())).toEqual(new Set([onFirst, onRest]))
        expect((await artifacts.list({ limit: 9 })).map(countsOf)).toEqual([
          [onNothing, 0, 0],
          [onRest, 1, 0],
          [onFirst, 2, 0],
          [onTheirs, 0, 0],
        ])
        await episodes.removeAll('tenant-b')
        await eraseAll(test.database)
        expect(new Set(await stale())).toEqual(new Set([onTheirs, onFirst, onRest]))
        expect(await stale()).not.toContain(onNothing)
        // The manifest still lists deleted episodes.
        expect((await artifacts.manifest(onFirst)).episodes).toHaveLength(2)
      })

      it('leave artifacts fresh when they are pruned by age, and are counted as expired', async () => {
        const [old, young] = [newEpisode(), newEpisode()]
        await episodes.add(old)
        now += 1000
        await episodes.add(young)
        const onOld = await trainedOn(old)
        const onBoth = await trainedOn(old, young)
        await pruneEpisodes(test.database, new Date(now))
        expect(await stale()).toEqual([])
        await episodes.remove('tenant-a', young.id)
        expect(await stale()).toEqual([onBoth])
        expect((await artifacts.list({ limit: 9 })).map(countsOf)).toEqual([
          [onBoth, 1, 1],
          [onOld, 0, 1],
        ])
      })

      it('go beyond the capacity of a tenant and model, least useful first, and count as expired', async () => {
        const add = async (over: Parameters<typeof newEpisode>[0] = {}) => {
          now += 1000
          const episode = newEpisode(over)
          await episodes.add(episode)
          return episode
        }
        const oldest = await add()
        const dull = await add({ admitted: false })
        const kept = [await add(), await add(), await add(), await add({ admitted: false })]
        const others = [await add({ fingerprint: 'model-2' }), await add({ tenantId: 'tenant-b' })]
        const trained = await trainedOn(oldest, dull)
        expect(await pruneExcessEpisodes(test.database, 6)).toBe(0)
        expect(await pruneExcessEpisodes(test.database, 5)).toBe(1)
        await expect(episodes.get('tenant-a', dull.id)).rejects.toMatchObject({ code: 'EPISODE_NOT_FOUND' })
        expect(await pruneExcessEpisodes(test.database, 4)).toBe(1)
        await expect(episodes.get('tenant-a', oldest.id)).rejects.toMatchObject({ code: 'EPISODE_NOT_FOUND' })
        for (const { tenantId, id } of [...kept, ...others])
          expect(await episodes.get(tenantId, id)).toMatchObject({ id })
        expect((await artifacts.list({ limit: 9 })).map(countsOf)).toEqual([[trained, 0, 2]])
      })

      it('make an active artifact stale but keep it active; also artifacts added later', async () => {
        const [kept, gone] = [newEpisode(), newEpisode()]
        await episodes.add(kept)
        await episodes.add(gone)
        const active = await trainedOn(gone)
        await artifacts.settle(active, { promoted: true, reason: null })
        await episodes.remove('tenant-a', gone.id)
        expect(await artifacts.active('model-1')).toMatchObject({ lrm: { id: active, stale: true } })
        const late = await trainedOn(kept, gone)
        const fine = await trainedOn(kept)
        expect(await stale()).toEqual([late, active])
        expect(await stale()).not.toContain(fine)
      })
    })

    describe('retention', () => {
      const NO_BYTES = { code: 'ARTIFACT_INVALID', message: expect.stringContaining('were deleted') }
      const available = async () =>
        (await artifacts.list({ limit: 99 })).filter((one) => one.available).map(({ version }) => version)

      it('keeps the bytes of the active version, the anchor, the last five promoted ones and the one judged last', async () => {
        const episode = newEpisode()
        await episodes.add(episode)
        const listed = [{ tenantId: 'tenant-a', episodeId: episode.id }]
        const versions: Artifact[] = []
        for (let number = 1; number <= 10; number++) {
          const added = await addArtifact({ manifest: { episodes: listed } })
          versions.push(added)
          const verdict = { promoted: number !== 9, isAnchor: number === 2, reason: null }
          if (number < 10) await artifacts.settle(added.id, verdict)
        }
        const other = await addArtifact({ manifest: { kind: 'weaver' } })
        await artifacts.settle(other.id, { promoted: true, reason: null })
        await artifacts.activate(versions[0]!.id, 'model-1')
        // The candidate lrm-10 has no verdict, but its consolidation has ended.
        expect(await pruneArtifacts(test.database)).toBe(2)
        expect(await pruneArtifacts(test.database)).toBe(0)
        expect(await available()).toEqual([
          'weaver-1',
          'lrm-9',
          'lrm-8',
          'lrm-7',
          'lrm-6',
          'lrm-5',
          'lrm-4',
          'lrm-2',
          'lrm-1',
        ])
        const [, , gone, kept] = versions
        expect(await artifacts.bytes(kept!.id)).toHaveLength(300)
        await expect(artifacts.bytes(gone!.id)).rejects.toMatchObject(NO_BYTES)
        await expect(artifacts.activate(gone!.id, 'model-1')).rejects.toMatchObject(NO_BYTES)
        await expect(artifacts.activate(gone!.id, 'model-1', { force: true })).rejects.toMatchObject(NO_BYTES)
        expect((await artifacts.manifest(gone!.id)).episodes).toEqual([])
        expect((await artifacts.manifest(kept!.id)).episodes).toEqual(listed)
        expect((await artifacts.list({ limit: 99 })).map(({ bytes }) => bytes)).toEqual(Array(11).fill(300))
        expect(await activeVersions()).toEqual(['lrm-1', 'weaver-1'])
      })

      it('keeps the bytes of a candidate until its consolidation has ended', async () => {
        const { id } = await request()
        await consolidations.begin(id)
        const { id: candidate } = await artifacts.add(newArtifact(id))
        expect(await pruneArtifacts(test.database)).toBe(0)
        await artifacts.settle(candidate, { promoted: false, reason: 'worse' })
        expect(await pruneArtifacts(test.database)).toBe(0)
        await consolidations.finish(id, { status: 'rejected', artifacts: [], episodes: 0 })
        // The version that was judged last keeps its bytes, so that an operator may force it.
        expect(await pruneArtifacts(test.database)).toBe(0)
        await artifacts.settle((await addArtifact()).id, { promoted: false, reason: 'worse' })
        expect(await pruneArtifacts(test.database)).toBe(1)
      })

      it('keeps the bytes of a version that waits, and not of one whose review has ended', async () => {
        const settle = async (promoted: boolean) => {
          const { id } = await request()
          const added = await artifacts.add(newArtifact(id))
          await artifacts.settle(added.id, { promoted, isReviewed: true, reason: null })
          await consolidations.finish(id, { status: 'awaiting-review', artifacts: [], episodes: 0 })
          return added.version
        }
        await settle(true)
        await settle(true)
        await settle(false)
        await settle(false)
        expect(await pruneArtifacts(test.database)).toBe(2)
        expect(await available()).toEqual(['lrm-4', 'lrm-2'])
      })

      it('keeps the bytes of a version that was rolled back', async () => {
        const bad = await addArtifact()
        await artifacts.settle(bad.id, { promoted: true, reason: null })
        const figure = { value: 0.2, n: 40, low: 0.1, high: 0.3 }
        const fall = { reason: 'fell', before: figure, since: figure }
        expect(await artifacts.recordLook(bad.id, { look: 1, outcomes: 40, fall })).toEqual({ to: null })
        await artifacts.settle((await addArtifact()).id, { promoted: true, reason: null })
        expect(await pruneArtifacts(test.database)).toBe(0)
        expect(await artifacts.activate(bad.id, 'model-1', { force: true })).toMatchObject({ active: true })
      })

      it('deletes the step records of a week ago, except reports and those of the last version', async () => {
        const ids: string[] = []
        for (const age of [30, 9, 8, 6, 0]) {
          const { id } = await request()
          for (const step of ['snapshot.lrm', 'report']) await consolidations.finishStep(id, step, {})
          // The last version of its kind comes from the consolidation of nine days ago.
          if (age >= 9) await artifacts.add(newArtifact(id))
          ids.push(id)
          if (age === 0) break
          const status = age === 30 ? 'awaiting-review' : 'rejected'
          await consolidations.finish(id, { status, artifacts: [], episodes: 0 })
          await test.database.pool.query(
            "update consolidations set finished_at = now() - $2 * interval '1 day' where id = $1",
            [id, age],
          )
        }
        expect(await pruneSteps(test.database)).toBe(2)
        const steps = await Promise.all(ids.map((id) => consolidations.steps(id)))
        expect(steps.map((records) => records.length)).toEqual([1, 2, 1, 2, 2])
        for (const records of steps) expect(records.map(({ step }) => step)).toContain('report')
      })

      it('keeps what the snapshots covered: the smallest figures of all kinds', async () => {
        const { id } = await request()
        expect(await consolidations.coverage(id)).toBe(null)
        const newestAt = new Date('2026-03-01T10:00:00.123Z')
        await consolidations.noteCoverage(id, { newestAt, episodes: 12 })
        await consolidations.noteCoverage(id, { newestAt: new Date('2026-03-01T10:00:01Z'), episodes: 13 })
        expect(await consolidations.coverage(id)).toEqual({ newestAt, episodes: 12 })
        const { id: empty } = await request('model-2')
        await consolidations.noteCoverage(empty, { newestAt: null, episodes: 0 })
        expect(await consolidations.coverage(empty)).toEqual({ newestAt: null, episodes: 0 })
      })
    })

    describe('consolidations', () => {
      it('start queued, with one job of the same id whose payload is ids', async () => {
        const asked = await consolidations.request({
          fingerprint: 'model-1',
          kinds: ['weaver', 'lrm'],
          force: true,
          trigger: 'schedule',
        })
        expect(asked).toEqual({
          id: expect.any(String),
          fingerprint: 'model-1',
          status: 'queued',
          artifacts: [],
          kinds: ['weaver', 'lrm'],
          force: true,
          trigger: 'schedule',
          progress: 0,
          step: null,
          createdAt: expect.any(String),
          startedAt: null,
          finishedAt: null,
          episodes: 0,
          attempts: 0,
          error: null,
        })
        expect(await consolidations.get(asked.id)).toEqual(asked)
        expect(await outbox.claim(9, LEASE)).toEqual([
          { id: asked.id, kind: 'consolidation.run', payload: { consolidationId: asked.id } },
        ])
      })

      it('run one at a time for a model: a second request returns the unfinished one', async () => {
        const first = await request()
        expect((await request()).id).toBe(first.id)
        await consolidations.begin(first.id)
        expect(await request()).toMatchObject({ id: first.id, status: 'running' })
        const other = await request('model-2')
        expect(other.id).not.toBe(first.id)
        expect(await outbox.waiting()).toBe(2)
        await consolidations.finish(first.id, { status: 'rejected', artifacts: [], episodes: 4 })
        const next = await request()
        expect(next.id).not.toBe(first.id)
        const listed = async (filter: { fingerprint?: string; limit: number }) =>
          (await consolidations.list(filter)).map(({ id }) => id)
        expect(await listed({ limit: 9 })).toEqual([next.id, other.id, first.id])
        expect(await listed({ fingerprint: 'model-1', limit: 9 })).toEqual([next.id, first.id])
        expect(await listed({ limit: 1 })).toEqual([next.id])
      })

      it('run step by step, and a second worker reads the results of the first', async () => {
        const { id } = await request()
        const begun = await consolidations.begin(id)
        expect(begun).toMatchObject({ status: 'running', attempts: 1, startedAt: expect.any(String) })
        await consolidations.enterStep(id, 'snapshot', 0.25)
        expect(await consolidations.stepResult(id, 'snapshot')).toBe(null)
        const result = { episodes: [{ tenantId: 'a', episodeId: NOWHERE }], nested: { value: 0.1 } }
        await consolidations.finishStep(id, 'snapshot', result)
        await consolidations.finishStep(id, 'snapshot', { episodes: [] })
        await consolidations.enterStep(id, 'train', 0.5)

        const again = await consolidations.begin(id)
        expect(again).toEqual({ ...begun, step: 'train', progress: 0.5, attempts: 2 })
        expect(await consolidations.stepResult(id, 'snapshot')).toEqual(result)
        expect(await consolidations.stepResult(id, 'train')).toBe(null)
      })

      it('end once', async () => {
        const { id } = await request()
        await consolidations.begin(id)
        await consolidations.enterStep(id, 'promote', 0.9)
        const made = {
          kind: 'lrm',
          version: 'lrm-1',
          status: 'promoted',
          reason: null,
          metrics: { auc: { value: 0.9, n: 10 } },
          baseline: {},
        } as const
        await consolidations.finish(id, { status: 'promoted', artifacts: [made], episodes: 12 })
        const ended = await consolidations.get(id)
        expect(ended).toMatchObject({
          status: 'promoted',
          artifacts: [made],
          episodes: 12,
          progress: 1,
          step: 'promote',
          error: null,
          finishedAt: expect.any(String),
        })
        await consolidations.finish(id, { status: 'failed', error: 'late' })
        await consolidations.enterStep(id, 'train', 0.1)
        expect(await consolidations.begin(id)).toEqual(ended)
      })

      it('fail with error, step and progress, even before they began', async () => {
        const first = await request()
        await consolidations.begin(first.id)
        await consolidations.enterStep(first.id, 'train', 0.5)
        await consolidations.finish(first.id, { status: 'failed', error: 'out of \0memory' })
        expect(await consolidations.get(first.id)).toMatchObject({
          status: 'failed',
          error: 'out of \ufffdmemory',
          step: 'train',
          progress: 0.5,
        })
        const second = await request()
        await consolidations.finish(second.id, { status: 'failed', error: 'x' })
        expect(await consolidations.begin(second.id)).toMatchObject({ status: 'failed', startedAt: null })
      })

      it('refuse a step without a result, and progress above 1', async () => {
        const { id } = await request()
        for (const nothing of [null, undefined])
          await expect(consolidations.finishStep(id, 'train', nothing)).rejects.toThrow('result')
        await expect(consolidations.enterStep(id, 'train', 1.01)).rejects.toThrow('progress')
      })

      it('throw CONSOLIDATION_NOT_FOUND for any other id', async () => {
        for (const id of NO_IDS) {
          const calls = await Promise.allSettled([
            consolidations.get(id),
            consolidations.begin(id),
            consolidations.stepResult(id, 'train'),
            consolidations.noteCoverage(id, { newestAt: null, episodes: 0 }),
            consolidations.coverage(id),
            consolidations.enterStep(id, 'train', 0.5),
            consolidations.finishStep(id, 'train', {}),
            consolidations.finish(id, { status: 'failed', error: 'x' }),
          ])
          for (const call of calls)
            expect(call).toMatchObject({ status: 'rejected', reason: NO_CONSOLIDATION })
        }
      })

      it('are queued again under the same id when their job was lost, even without outbox row', async () => {
        const [lost, running, waiting, done] = [
          await request('lost'),
          await request('running'),
          await request('waiting'),
          await request('done'),
        ]
        await consolidations.begin(running.id)
        await outbox.markRelayed([lost.id, running.id, done.id])
        await consolidations.finish(done.id, { status: 'rejected', artifacts: [], episodes: 0 })
        expect(await consolidations.recover(5_000)).toBe(0)
        await test.database.pool.query(`
          update consolidations set created_at = created_at - interval '9 seconds'`)
        // The job was handed over just now.
        expect(await consolidations.recover(5_000)).toBe(0)
        await test.database.pool.query(`
          update outbox set relayed_at = relayed_at - interval '9 seconds'`)
        await test.database.pool.query('delete from outbox where id = $1', [running.id])
        expect(await consolidations.recover(5_000)).toBe(2)
        expect(await consolidations.recover(5_000)).toBe(0)
        const rows = await outbox.claim(9, LEASE)
        expect(rows.map(({ id }) => id).sort()).toEqual([lost.id, running.id, waiting.id].sort())
        for (const { id, payload } of rows) expect(payload).toEqual({ consolidationId: id })
      })
    })
  })
}
