/** @file The tests of the health watch, run on the embedded database and on a server. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type Artifact,
  type ArtifactKind,
  type ArtifactStore,
  type ConsolidationStore,
  createArtifactStore,
  createConsolidationStore,
  createLearningStore,
} from '#artifacts'
import { watchHealth } from '#consolidation'
import {
  createEpisodeStore,
  createTrainingStore,
  type EpisodeStore,
  type NewEpisode,
  NO_VERSION,
} from '#episodes'
import { readBacklog } from '../../src/jobs/read-backlog.ts'
import { newArtifact } from './artifacts.ts'
import { newCandidate, newEpisode } from './episodes.ts'
import type { TestDatabase } from './test-database.ts'

const MODEL = 'model-1'
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

interface Outcomes extends Partial<NewEpisode> {
  readonly right: number
  readonly wrong: number
}

export function describeHealth(name: string, createDatabase: () => Promise<TestDatabase>): void {
  describe(`health of the active versions on ${name}`, () => {
    let test: TestDatabase
    let artifacts: ArtifactStore
    let consolidations: ConsolidationStore
    let episodes: EpisodeStore
    let warnings: { readonly details: Record<string, unknown>; readonly message: string }[]
    let now = Date.now()

    beforeAll(async () => {
      test = await createDatabase()
      const { database } = test
      artifacts = createArtifactStore({ database })
      consolidations = createConsolidationStore({ database })
      episodes = createEpisodeStore({ database, clock: () => now })
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query('truncate episodes, consolidations, outbox cascade')
      warnings = []
      now = Date.now()
    })

    const watch = () =>
      watchHealth({
        artifacts,
        training: createTrainingStore({ database: test.database }),
        logger: { warn: (details, message) => void warnings.push({ details: { ...details }, message }) },
      })

    async function addVersion(kind: ArtifactKind = 'weaver'): Promise<Artifact> {
      const { id } = await consolidations.request({
        fingerprint: MODEL,
        kinds: [kind],
        force: false,
        trigger: 'request',
      })
      await consolidations.finish(id, { status: 'failed', error: 'x' })
      return artifacts.add(newArtifact(id, { manifest: { kind } }))
    }

    async function promote({ isAnchor = false, kind = 'weaver' as ArtifactKind } = {}): Promise<Artifact> {
      const { id } = await addVersion(kind)
      return artifacts.settle(id, { promoted: true, isAnchor, reason: 'passed' })
    }

    /** Stores answers to requests that callers have called right or wrong. */
    async function serve(weaverVersion: string | null, { right, wrong, ...over }: Outcomes): Promise<void> {
      for (let index = 0; index < right + wrong; index++) {
        const episode = newEpisode({
          strategy: 'auto',
          weaverVersion,
          reference: index < right ? '12' : '13',
          ...over,
          id: randomUUID(),
        })
        await episodes.add(episode)
        await episodes.index(episode.tenantId, episode.id)
      }
    }

    /** Outcomes of the day before now. */
    async function serveBefore(version: string | null, outcomes: Outcomes): Promise<void> {
      now = Date.now() - DAY_MS
      await serve(version, outcomes)
      now = Date.now() + HOUR_MS
    }

    const find = async (id: string) => (await artifacts.list({ limit: 50 })).find((each) => each.id === id)!
    const active = async () => (await artifacts.active(MODEL)).weaver?.version ?? null

    /** weaver-2 took the place of weaver-1, and its live outcomes have fallen. */
    async function fall(): Promise<{ readonly first: Artifact; readonly second: Artifact }> {
      const first = await promote({ isAnchor: true })
      await serveBefore('weaver-1', { right: 32, wrong: 8 })
      const second = await promote({ isAnchor: true })
      await serve('weaver-2', { right: 10, wrong: 25 })
      return { first, second }
    }

    describe('rolls back', () => {
      it('to the version before, with figures and reason, and warns once', async () => {
        const { first, second } = await fall()
        await createLearningStore({ database: test.database }).freeze()
        await watch()
        await watch()
        await createLearningStore({ database: test.database }).unfreeze()

        expect(await find(first.id)).toMatchObject({
          active: true,
          activatedBy: 'rollback',
          rolledBackAt: null,
        })
        const failed = await find(second.id)
        expect(failed).toMatchObject({
          status: 'rejected',
          passed: true,
          active: false,
          rolledBackAt: expect.any(String),
          metrics: { auc: {}, live: { n: 35, value: expect.closeTo(10 / 35, 12), low: expect.any(Number) } },
          baseline: { live: { n: 40, value: expect.closeTo(0.8, 12), high: expect.any(Number) } },
        })
        expect(failed.reason).toBe(
          'passed; rolled back to weaver-1 by itself: right answers by feedback and references fell to ' +
            '0.286 (0.163 to 0.451, n = 35) from 0.800 (0.652 to 0.895, n = 40) with weaver-1',
        )
        expect((await artifacts.anchors(MODEL)).weaver?.version).toBe('weaver-1')
        expect(warnings).toEqual([
          {
            message: 'live outcomes have fallen: version rolled back',
            details: {
              fingerprint: MODEL,
              version: 'weaver-2',
              to: 'weaver-1',
              live: failed.metrics['live'],
              before: failed.baseline['live'],
            },
          },
        ])
        expect((await readBacklog(test.database)).rollbacks).toBe(1)
        await expect(artifacts.activate(second.id, MODEL)).rejects.toMatchObject({
          code: 'ARTIFACT_NOT_PROMOTED',
        })
      })

      it('to no version when there was none before, by requests that a version could have influenced', async () => {
        // Requests that use no weaver say nothing about the time without one.
        await serveBefore(null, { right: 0, wrong: 40 })
        await serveBefore(NO_VERSION, { right: 32, wrong: 8 })
        const first = await promote({ isAnchor: true })
        await serve('weaver-1', { right: 10, wrong: 25 })
        await watch()
        expect(await active()).toBe(null)
        expect(await artifacts.anchors(MODEL)).toEqual({})
        expect((await find(first.id)).reason).toContain('rolled back to no version by itself')
        expect(warnings).toMatchObject([{ details: { version: 'weaver-1', to: null } }])
      })

      it('the latent reward model by the answers that it could influence', async () => {
        await promote({ kind: 'lrm' })
        await promote({ kind: 'weaver' })
        await serveBefore(null, { right: 32, wrong: 8, strategy: 'lto', lrmVersion: 'lrm-1' })
        await promote({ kind: 'lrm' })
        await serve(null, { right: 10, wrong: 25, strategy: 'lto', lrmVersion: 'lrm-2' })
        await watch()
        expect((await artifacts.active(MODEL)).lrm?.version).toBe('lrm-1')
        expect(await active()).toBe('weaver-1')
      })

      it('the fused judge by the answers that it could influence', async () => {
        await promote({ kind: 'judge' })
        await promote({ kind: 'lrm' })
        const outcomes = { strategy: 'best-of-n', lrmVersion: null }
        await serveBefore(null, { ...outcomes, right: 32, wrong: 8, judgeVersion: 'judge-1' })
        await promote({ kind: 'judge' })
        await serve(null, { ...outcomes, right: 10, wrong: 25, judgeVersion: 'judge-2' })
        await watch()
        const { judge, lrm } = await artifacts.active(MODEL)
        expect([judge?.version, lrm?.version]).toEqual(['judge-1', 'lrm-1'])
      })

      it('to the newest older promoted version when the one before may not serve', async () => {
        await promote()
        const forced = await addVersion()
        await artifacts.settle(forced.id, { promoted: false, reason: 'worse' })
        await artifacts.activate(forced.id, MODEL, { force: true })
        await serveBefore('weaver-2', { right: 32, wrong: 8 })
        await promote()
        await serve('weaver-3', { right: 10, wrong: 25 })
        await watch()
        expect(await active()).toBe('weaver-1')
      })

      it('never to a version whose bytes are damaged', async () => {
        const { first } = await fall()
        await test.database.pool.query('update artifacts set bytes = set_byte(bytes, 7, 0) where id = $1', [
          first.id,
        ])
        await watch()
        expect(await active()).toBe(null)
      })

      it('a reviewed version, which an operator has activated without force', async () => {
        await promote()
        await serveBefore('weaver-1', { right: 32, wrong: 8 })
        const waiting = await addVersion()
        await artifacts.settle(waiting.id, { promoted: true, isReviewed: true, reason: null })
        await artifacts.activate(waiting.id, MODEL)
        await serve('weaver-2', { right: 10, wrong: 25 })
        await watch()
        expect(await active()).toBe('weaver-1')
      })

      it('the anchor to the one before it', async () => {
        await promote({ isAnchor: true })
        await promote()
        await serveBefore('weaver-2', { right: 32, wrong: 8 })
        await promote({ isAnchor: true })
        await serve('weaver-3', { right: 10, wrong: 25 })
        await watch()
        expect(await active()).toBe('weaver-2')
        expect((await artifacts.anchors(MODEL)).weaver?.version).toBe('weaver-1')
      })

      it('to no anchor when there was none before, though another version becomes active', async () => {
        await promote()
        await serveBefore('weaver-1', { right: 32, wrong: 8 })
        await promote({ isAnchor: true })
        await serve('weaver-2', { right: 10, wrong: 25 })
        await watch()
        expect(await active()).toBe('weaver-1')
        expect(await artifacts.anchors(MODEL)).toEqual({})
      })

      it('once, when several workers look at the same time', async () => {
        await fall()
        await Promise.all([watch(), watch(), watch()])
        expect(await active()).toBe('weaver-1')
        expect(warnings).toHaveLength(1)
      })
    })

    describe('counts', () => {
      it('feedback and references on answers to requests, and nothing else', async () => {
        await promote()
        await serveBefore('weaver-1', { right: 32, wrong: 8 })
        await promote()
        // Labels by majority and by self-reward, episodes of nights, and those of another model.
        const samples = [newCandidate({ kind: 'sample' }), newCandidate({ kind: 'sample', chosen: false })]
        await serve('weaver-2', { right: 40, wrong: 0, reference: null, candidates: samples })
        await serve('weaver-2', { right: 0, wrong: 40, reference: null })
        await serve('weaver-2', { right: 0, wrong: 40, origin: 'night' })
        await serve('weaver-2', { right: 0, wrong: 40, fingerprint: 'model-2' })
        await serve(null, { right: 0, wrong: 40 })
        const training = createTrainingStore({ database: test.database })
        const request = { fingerprint: MODEL, kind: 'weaver', version: 'weaver-2' } as const
        expect(await training.servedOutcomes(request)).toEqual([])
        await watch()
        expect(await active()).toBe('weaver-2')

        // A caller's word counts as soon as it comes.
        const { rows: unsure } = await test.database.pool.query<{ id: string }>(`
          select id from episodes
          where fingerprint = 'model-1' and weaver_version = 'weaver-2' and verdict is null limit 35`)
        for (const { id } of unsure) await episodes.label('tenant-a', id, { correct: false })
        expect(await training.servedOutcomes(request)).toEqual([
          { tenantId: 'tenant-a', strategy: 'auto', n: 35, right: 0 },
        ])
        await watch()
        expect(await active()).toBe('weaver-1')
      })

      it('outcomes of the 14 days before the promotion', async () => {
        await promote()
        now = Date.now() - 15 * DAY_MS
        await serve('weaver-1', { right: 40, wrong: 0 })
        await promote()
        now = Date.now() + HOUR_MS
        await serve('weaver-2', { right: 0, wrong: 40 })
        await watch()
        expect(await active()).toBe('weaver-2')
      })

      it('nothing below 30 outcomes on each side, and looks again only when they have doubled', async () => {
        await promote()
        await serveBefore('weaver-1', { right: 23, wrong: 6 })
        const second = await promote()
        await serve('weaver-2', { right: 12, wrong: 17 })
        await watch()
        expect(await artifacts.watched()).toMatchObject([{ looks: 0, outcomes: 0, before: 'weaver-1' }])
        await serve('weaver-2', { right: 18, wrong: 0 })
        await watch()
        expect(await artifacts.watched()).toMatchObject([{ looks: 0 }])
        await test.database.pool.query(
          `update episodes set weaver_version = 'weaver-1', created_at = now() - interval '1 day'
          where id in (select id from episodes where weaver_version = 'weaver-2' and verdict limit 9)`,
        )
        await watch()
        expect(await artifacts.watched()).toMatchObject([{ looks: 1, outcomes: 38 }])
        await serve('weaver-2', { right: 0, wrong: 37 })
        await watch()
        expect(await artifacts.watched()).toMatchObject([{ looks: 1, outcomes: 38 }])
        expect((await find(second.id)).active).toBe(true)
        await serve('weaver-2', { right: 0, wrong: 1 })
        await watch()
        expect(await active()).toBe('weaver-1')
      })

      it('no fall when the outcomes stay as they were', async () => {
        await promote()
        await serveBefore('weaver-1', { right: 32, wrong: 8 })
        await promote()
        await serve('weaver-2', { right: 30, wrong: 10 })
        await watch()
        expect(await active()).toBe('weaver-2')
        expect(await artifacts.watched()).toMatchObject([{ looks: 1, outcomes: 40 }])
      })

      it('tenants apart: one cannot roll back alone while another disagrees', async () => {
        await promote()
        for (const tenantId of ['tenant-a', 'tenant-b'])
          await serveBefore('weaver-1', { right: 32, wrong: 8, tenantId })
        await promote()
        await serve('weaver-2', { right: 0, wrong: 60, tenantId: 'tenant-a' })
        await serve('weaver-2', { right: 32, wrong: 8, tenantId: 'tenant-b' })
        await watch()
        expect(await active()).toBe('weaver-2')
        expect(await artifacts.watched()).toMatchObject([{ looks: 1 }])
      })
    })

    describe('leaves to operators', () => {
      it('a version that was activated by hand after its rollback', async () => {
        const { second } = await fall()
        await watch()
        await artifacts.activate(second.id, MODEL, { force: true })
        await serve('weaver-2', { right: 0, wrong: 60 })
        await watch()
        expect(await find(second.id)).toMatchObject({ active: true, activatedBy: 'operator' })
        expect(await artifacts.watched()).toEqual([])
        expect(warnings).toHaveLength(1)
      })

      it('the active version, when it is activated by hand once more', async () => {
        const { second } = await fall()
        expect(await artifacts.activate(second.id, MODEL)).toMatchObject({ activatedBy: 'operator' })
        await watch()
        expect(await active()).toBe('weaver-2')
      })

      it('a version that an operator went back to, and the one that a rollback went back to', async () => {
        const { first, second } = await fall()
        await artifacts.activate(first.id, MODEL)
        await serve('weaver-1', { right: 0, wrong: 60 })
        await watch()
        expect(await active()).toBe('weaver-1')
        expect((await find(second.id)).status).toBe('promoted')
      })

      it('an activation that comes between look and rollback', async () => {
        const { second } = await fall()
        const slow: typeof artifacts = {
          ...artifacts,
          async recordLook(id, look) {
            await artifacts.activate(second.id, MODEL)
            return artifacts.recordLook(id, look)
          },
        }
        await watchHealth({
          artifacts: slow,
          training: createTrainingStore({ database: test.database }),
          logger: { warn: (_, message) => void warnings.push({ details: {}, message }) },
        })
        expect(await find(second.id)).toMatchObject({ active: true, status: 'promoted', rolledBackAt: null })
        expect(warnings).toEqual([])
      })

      it('a candidate that was forced, before its verdict or in its review', async () => {
        const candidate = await addVersion()
        await artifacts.activate(candidate.id, MODEL, { force: true })
        expect(await artifacts.watched()).toEqual([])
        const waiting = await addVersion()
        await artifacts.settle(waiting.id, { promoted: true, isReviewed: true, reason: null })
        await artifacts.activate(waiting.id, MODEL, { force: true })
        expect(await find(waiting.id)).toMatchObject({ status: 'promoted', activatedBy: 'operator' })
        expect(await artifacts.watched()).toEqual([])
      })
    })

    it('reads the outcomes by an index', async () => {
      await test.database.pool.query('set enable_seqscan = off')
      const { rows } = await test.database.pool.query(`
        explain select tenant_id, strategy, verdict from episodes
        where fingerprint = 'm' and weaver_version = 'weaver-1' and verdict is not null and origin = 'request'
        order by created_at desc limit 20000`)
      await test.database.pool.query('reset enable_seqscan')
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
      expect(plan).toContain('episodes_of_weaver')
      expect(plan).not.toContain('Sort')
    })
  })
}
