/**
 * @file Test suite of consolidations from episodes to the active version, for any database; trains on real
 * ONNX Runtime, in this process.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type ArtifactStore,
  type Consolidation,
  type ConsolidationStore,
  createArtifactStore,
  createConsolidationStore,
  createLearningStore,
  type LearningStore,
} from '#artifacts'
import { type ConsolidationDeps, consolidate, requestDueConsolidations } from '#consolidation'
import { createEpisodeStore, createOutbox, createTrainingStore, type EpisodeStore } from '#episodes'
import { ServiceError } from '#errors'
import { connectQueues, type RunningWorker, readBacklog } from '#jobs'
import { RequeueError } from '../../src/jobs/job-queue.ts'
import { createConsolidationProcessor } from '../../src/jobs/process-consolidation.ts'
import { graphRunner } from './graph-runner.ts'
import { type Day, LAYERS, rememberDay, WIDTH } from './labelled-day.ts'
import { SMALL_NETWORK } from './small-network.ts'
import { silent, type TestDatabase } from './test-database.ts'

const MODEL = 'model-1'
const never = new AbortController().signal
const onWorker = (stopping = never) => ({ stopping, logger: silent })

export function describeConsolidations(name: string, open: () => Promise<TestDatabase>): void {
  describe(`consolidations on ${name}`, () => {
    let test: TestDatabase
    let episodes: EpisodeStore
    let artifacts: ArtifactStore
    let consolidations: ConsolidationStore
    let learning: LearningStore
    let runner: ReturnType<typeof graphRunner>
    /** Training processes started and ended. */
    let trainers: { started: number; closed: number }

    beforeAll(async () => {
      test = await open()
      episodes = createEpisodeStore({ database: test.database })
      artifacts = createArtifactStore({ database: test.database })
      consolidations = createConsolidationStore({ database: test.database })
      learning = createLearningStore({ database: test.database })
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query('truncate episodes, outbox, consolidations cascade')
      await learning.unfreeze()
      runner = graphRunner()
      trainers = { started: 0, closed: 0 }
    })

    function parts(over: Partial<ConsolidationDeps> = {}): ConsolidationDeps {
      return {
        consolidations,
        artifacts,
        learning,
        training: createTrainingStore({ database: test.database }),
        startTrainer: async () => {
          trainers.started += 1
          return {
            load: runner.load,
            openTask: runner.openTask,
            peakMemoryBytes: async () => 2 ** 20,
            close: async () => {
              trainers.closed += 1
            },
          }
        },
        openReplayEngine: () => Promise.reject(new Error('a reward model needs no replay')),
        episodes,
        logger: silent,
        codeVersion: '1.2.3',
        rewardModel: SMALL_NETWORK,
        ...over,
      }
    }

    const remember = (day: Day) => rememberDay(episodes, day)

    async function request(force = false): Promise<string> {
      const wish = { fingerprint: MODEL, kinds: ['lrm'], force, trigger: 'request' } as const
      return (await consolidations.request(wish)).id
    }

    async function runConsolidation(
      force = false,
      over: Partial<ConsolidationDeps> = {},
    ): Promise<Consolidation> {
      const id = await request(force)
      await consolidate(parts(over), id, never)
      return consolidations.get(id)
    }

    const active = async () => (await artifacts.active(MODEL)).lrm?.version ?? null

    async function made(id: string): Promise<string[]> {
      const { rows } = await test.database.pool.query(
        'select id from artifacts where consolidation_id = $1',
        [id],
      )
      return rows.map((row) => row.id)
    }

    /** Changes one stored byte of an artifact. */
    async function damage(id: string): Promise<void> {
      await test.database.pool.query(
        'update artifacts set bytes = set_byte(bytes, 100, 255 - get_byte(bytes, 100)) where id = $1',
        [id],
      )
    }

    it('trains on labelled answers and activates the new version', async () => {
      const ids = await remember({ questions: 100 })
      const done = await runConsolidation()
      expect(done).toMatchObject({
        status: 'promoted',
        step: 'report',
        progress: 1,
        episodes: 100,
        attempts: 1,
        error: null,
        artifacts: [
          {
            kind: 'lrm',
            version: 'lrm-1',
            status: 'promoted',
            baseline: {},
            reason: expect.stringContaining('AUC'),
          },
        ],
      })
      expect(done.artifacts[0]?.metrics['auc']).toMatchObject({
        value: expect.any(Number),
        n: expect.any(Number),
      })
      const { lrm } = await artifacts.active(MODEL)
      expect(lrm).toMatchObject({
        version: 'lrm-1',
        status: 'promoted',
        stale: false,
        episodes: expect.any(Number),
        consolidationId: done.id,
        features: { layers: LAYERS, width: WIDTH },
        metrics: done.artifacts[0]?.metrics,
        reason: done.artifacts[0]?.reason,
      })
      const manifest = await artifacts.manifest(lrm!.id)
      expect(manifest).toMatchObject({ codeVersion: '1.2.3', fingerprint: MODEL, kind: 'lrm' })
      // At least ten questions are held out, and a tenth is locked.
      expect(manifest.episodes.length).toBeGreaterThanOrEqual(30)
      expect(manifest.episodes.length).toBeLessThanOrEqual(60)
      for (const { episodeId } of manifest.episodes) expect(ids).toContain(episodeId)
      expect(trainers).toEqual({ started: 1, closed: 1 })
      expect(runner.open()).toBe(0)
      expect(await consolidations.report(done.id)).toMatchObject({
        consolidationId: done.id,
        status: 'promoted',
        error: null,
        attempts: 1,
        // None of them steers here.
        retired: 0,
        trainerPeakBytes: 2 ** 20,
        artifacts: [
          {
            version: 'lrm-1',
            metrics: done.artifacts[0]?.metrics,
            episodes: { remembered: 100, learnedFrom: lrm?.episodes, leftOut: {} },
          },
        ],
      })
    })

    it('judges the next version against the active one, on the same questions', async () => {
      await remember({ questions: 100 })
      await runConsolidation()
      await remember({ questions: 30 })
      const [made] = (await runConsolidation()).artifacts
      expect(made).toMatchObject({ version: 'lrm-2' })
      expect(made?.metrics).toHaveProperty(['auc.difference'])
      expect(made?.baseline['auc']).toMatchObject({ n: made?.metrics['auc']?.n })
      expect(await active()).toBe(made?.status === 'promoted' ? 'lrm-2' : 'lrm-1')
    })

    it('thins the thoughts of an episode only once a version has learned from all of them', async () => {
      const [id] = await remember({ questions: 1, sampled: 8 })
      const thoughts = async () => {
        const sql = 'select count(*)::integer as n from candidate_thoughts where episode_id = $1'
        return (await test.database.pool.query(sql, [id])).rows[0].n
      }
      const [untrained] = (await runConsolidation(true)).artifacts
      expect([untrained?.status, await thoughts()]).toEqual(['skipped', 8])
      await remember({ questions: 100 })
      const training = createTrainingStore({ database: test.database })
      let read = 0
      await runConsolidation(true, {
        training: {
          ...training,
          async *labelledThoughts(...wanted) {
            for await (const stored of training.labelledThoughts(...wanted)) {
              if (stored.episodeId === id) read += 1
              yield stored
            }
          },
        },
      })
      expect(read).toBeGreaterThanOrEqual(8)
      expect(await thoughts()).toBe(4)
    })

    it('does nothing for a consolidation that has ended', async () => {
      await remember({ questions: 100 })
      const done = await runConsolidation()
      await consolidate(parts(), done.id, never)
      expect(await consolidations.get(done.id)).toEqual({ ...done, attempts: expect.any(Number) })
      expect(await made(done.id)).toHaveLength(1)
    })

    describe('skips with a reason, without a training process, for', () => {
      it.each<[string, Day | null, RegExp]>([
        ['no episodes', null, /no labelled answers/],
        ['no labels', { questions: 1, labelled: false }, /no labelled answers/],
        ['only right answers', { questions: 100, correct: [true, true] }, /one class only.*right/],
        ['only wrong answers', { questions: 100, correct: [false, false] }, /one class only.*wrong/],
        ['few questions', { questions: 30 }, /too few questions in the part train: expected 20, got \d+/],
      ])(
        '%s',
        async (_name, day, reason) => {
          if (day !== null) await remember(day)
          const done = await runConsolidation(true)
          expect(done).toMatchObject({
            status: 'rejected',
            progress: 1,
            error: null,
            artifacts: [{ kind: 'lrm', version: null, status: 'skipped', metrics: {}, baseline: {} }],
          })
          expect(done.artifacts[0]?.reason).toMatch(reason)
          expect(await made(done.id)).toEqual([])
          expect(trainers.started).toBe(0)
        },
        20_000,
      )

      it('fewer than 20 new episodes, unless it is forced', async () => {
        await remember({ questions: 100 })
        await runConsolidation()
        trainers.started = 0
        await remember({ questions: 19 })
        const [skipped] = (await runConsolidation()).artifacts
        expect(skipped).toMatchObject({
          status: 'skipped',
          reason: 'too few new episodes: expected 20 since lrm-1, got 19',
        })
        expect(trainers.started).toBe(0)
        expect((await runConsolidation(true)).artifacts[0]).toMatchObject({ version: 'lrm-2' })
        // Episodes of a rejected version do not count as new.
        expect((await runConsolidation()).artifacts[0]?.reason).toMatch(/since lrm-2, got 0/)
        await remember({ questions: 20 })
        expect((await runConsolidation()).artifacts[0]).toMatchObject({ version: 'lrm-3' })
      })
    })

    it('trains again without deleted episodes, even when no episode is new', async () => {
      await remember({ questions: 320 })
      await runConsolidation()
      const { lrm: first } = await artifacts.active(MODEL)
      const [deleted] = (await artifacts.manifest(first!.id)).episodes
      const due = (trigger: 'schedule' | 'episodes') =>
        requestDueConsolidations(parts(), { trigger, minNewEpisodes: 1 })
      expect(await due('schedule')).toEqual([])
      await episodes.remove('tenant-a', deleted!.episodeId)
      expect((await artifacts.active(MODEL)).lrm).toMatchObject({ version: 'lrm-1', stale: true })
      expect(await due('episodes')).toEqual([])
      expect(await due('schedule')).toMatchObject([
        { trigger: 'schedule', kinds: ['weaver', 'lrm', 'judge'] },
      ])
      expect(await runConsolidation()).toMatchObject({
        status: 'promoted',
        artifacts: [
          { kind: 'weaver', status: 'skipped' },
          {
            version: 'lrm-2',
            // A stale version is still compared with, and no gain over it is asked for.
            baseline: { withinAuc: expect.any(Object) },
            reason: expect.stringContaining('replaces a version trained on erased episodes'),
          },
          // Fitted with the estimate of the version that was promoted just before.
          { version: 'judge-1', status: 'promoted', reason: expect.stringContaining('AUC improves over') },
        ],
      })
      const { lrm } = await artifacts.active(MODEL)
      expect(lrm).toMatchObject({ version: 'lrm-2', stale: false })
      const { episodes: learned } = await artifacts.manifest(lrm!.id)
      expect(learned.map(({ episodeId }) => episodeId)).not.toContain(deleted!.episodeId)
      expect(await due('schedule')).toEqual([])
    }, 60_000)

    it('in review, ends as awaiting-review, and the version that passed is active once it is activated', async () => {
      await remember({ questions: 260 })
      const done = await runConsolidation(false, { isReviewed: true })
      const { reason } = done.artifacts[0]!
      expect(done).toMatchObject({
        status: 'awaiting-review',
        progress: 1,
        artifacts: [{ version: 'lrm-1', status: 'awaiting-review' }],
      })
      expect(await consolidations.report(done.id)).toMatchObject({
        status: 'awaiting-review',
        artifacts: [{ version: 'lrm-1', status: 'awaiting-review', reason }],
      })
      expect(await active()).toBeNull()
      const backlog = await readBacklog(test.database)
      expect(backlog.lastSuccessSeconds).toBeCloseTo(Date.parse(done.finishedAt!) / 1_000, 0)
      const [waiting] = await artifacts.list({ limit: 1 })
      expect(waiting).toMatchObject({ status: 'candidate', passed: true, active: false })
      await artifacts.activate(waiting!.id, MODEL)
      expect(await active()).toBe('lrm-1')
    }, 60_000)

    it('does not promote a version over one that became active after its gate', async () => {
      await remember({ questions: 100 })
      await runConsolidation()
      await remember({ questions: 30 })
      const id = await request()
      // The gate passes, and the version that it compared with is rolled back before the promotion.
      const settle: ArtifactStore['settle'] = async (candidate, verdict) => {
        await test.database.pool.query('update artifacts set active = false')
        return artifacts.settle(candidate, { ...verdict, promoted: true })
      }
      await consolidate(parts({ artifacts: { ...artifacts, settle } }), id, never)
      expect(await consolidations.get(id)).toMatchObject({
        status: 'awaiting-review',
        artifacts: [{ version: 'lrm-2', reason: expect.stringContaining('no version is active now') }],
      })
      expect(await active()).toBe(null)
    })

    describe('while learning is frozen', () => {
      it('ends as rejected without training; the next one after the freeze trains', async () => {
        await remember({ questions: 100 })
        await learning.freeze({ reason: 'odd answers' })
        const reason = expect.stringMatching(/^learning is frozen since .*Z: odd answers$/)
        const ended = await runConsolidation()
        expect(ended).toMatchObject({
          status: 'rejected',
          error: null,
          artifacts: [{ kind: 'lrm', version: null, status: 'skipped', reason }],
        })
        expect(await consolidations.report(ended.id)).toMatchObject({
          status: 'rejected',
          artifacts: [{ status: 'skipped', reason }],
        })
        expect(trainers.started).toBe(0)
        await learning.unfreeze()
        expect(await runConsolidation()).toMatchObject({ artifacts: [{ version: 'lrm-1' }] })
      })

      it('rejects a trained candidate that is not promoted yet', async () => {
        await remember({ questions: 100 })
        const freezing: ArtifactStore = {
          ...artifacts,
          async add(artifact) {
            const added = await artifacts.add(artifact)
            await learning.freeze()
            return added
          },
        }
        expect(await runConsolidation(false, { artifacts: freezing })).toMatchObject({
          status: 'rejected',
          episodes: 100,
          artifacts: [
            { version: 'lrm-1', status: 'rejected', reason: expect.stringMatching(/^learning is frozen/) },
          ],
        })
        expect(await artifacts.list({ limit: 1 })).toMatchObject([{ status: 'rejected', active: false }])
        expect(trainers).toEqual({ started: 1, closed: 1 })
        expect(await active()).toBeNull()
      })
    })

    describe('a damaged version', () => {
      it('is rejected as a candidate, and the active version stays', async () => {
        await remember({ questions: 100 })
        await runConsolidation()
        const id = await request(true)
        const damaging: ConsolidationDeps['artifacts'] = {
          ...artifacts,
          async add(artifact) {
            const added = await artifacts.add(artifact)
            await damage(added.id)
            return added
          },
        }
        await consolidate(parts({ artifacts: damaging }), id, never)
        expect(await consolidations.get(id)).toMatchObject({
          status: 'rejected',
          artifacts: [{ version: 'lrm-2', status: 'rejected', reason: expect.stringContaining('damaged') }],
        })
        expect(await active()).toBe('lrm-1')
      })

      it('is not compared with the next version while it is active', async () => {
        await remember({ questions: 200 })
        await runConsolidation()
        await damage((await artifacts.active(MODEL)).lrm!.id)
        expect(await runConsolidation(true)).toMatchObject({
          status: 'promoted',
          artifacts: [
            {
              version: 'lrm-2',
              baseline: {},
              reason: expect.stringContaining('not compared with lrm-1: it is damaged or does not load'),
            },
          ],
        })
        expect(await active()).toBe('lrm-2')
      })
    })

    it('does not compare the next version with an active one that does not load', async () => {
      await remember({ questions: 200 })
      await runConsolidation()
      // The hash matches, but this release cannot load the bytes.
      await test.database.pool.query(
        "update artifacts set bytes = convert_to($1, 'UTF8'), sha256 = encode(sha256(convert_to($1, 'UTF8')), 'hex') where id = $2",
        ['of another time', (await artifacts.active(MODEL)).lrm!.id],
      )
      expect(await runConsolidation(true)).toMatchObject({
        status: 'promoted',
        artifacts: [
          {
            version: 'lrm-2',
            reason: expect.stringContaining('not compared with lrm-1: it is damaged or does not load'),
          },
        ],
      })
      expect(runner.open()).toBe(0)
    })

    it('ends once, with one artifact, at whichever write its worker dies', async () => {
      await remember({ questions: 100 })
      // Trained many times, so with few epochs: the quality does not matter here.
      const hasty = { rewardModel: { ...SMALL_NETWORK, epochs: 2 } }
      const steps = new Set<string>()
      for (let deaths = 0; ; deaths++) {
        const servedBefore = await active()
        const id = await request(true)
        const before = (await consolidations.get(id)).step
        const dying = dyingAtWrite(parts(hasty), deaths)
        const survived = await consolidate(dying.parts, id, never).then(
          () => true,
          (error: unknown) => {
            expect(error).toBe(dying.death)
            return false
          },
        )
        const { status, step } = await consolidations.get(id)
        steps.add(step ?? 'none')
        if (status === 'running' || status === 'queued') await consolidate(parts(hasty), id, never)

        const done = await consolidations.get(id)
        expect(['promoted', 'rejected'], `after write ${deaths}`).toContain(done.status)
        expect(done).toMatchObject({ progress: 1, step: 'report', artifacts: [{ kind: 'lrm' }] })
        expect(await made(id)).toHaveLength(1)
        expect(await active()).toBe(done.status === 'promoted' ? done.artifacts[0]?.version : servedBefore)
        expect(trainers.closed).toBe(trainers.started)
        expect(runner.open()).toBe(0)
        if (survived) {
          expect(deaths).toBeGreaterThanOrEqual(10)
          break
        }
        expect(before).toBeNull()
      }
      expect([...steps]).toEqual(['none', 'snapshot', 'split', 'train', 'gate', 'promote', 'prune', 'report'])
    }, 240_000)

    it('ends once when two workers run it at the same time', async () => {
      await remember({ questions: 100 })
      const id = await request()
      await Promise.all([consolidate(parts(), id, never), consolidate(parts(), id, never)])
      expect(await consolidations.get(id)).toMatchObject({
        status: 'promoted',
        artifacts: [{ version: 'lrm-1' }],
      })
      expect(await made(id)).toHaveLength(1)
    })

    describe('errors', () => {
      const job = (id: string, attemptsMade: number) => ({
        id,
        name: 'consolidation.run',
        attemptsMade,
        data: { consolidationId: id },
      })
      const failing = (error: Error): Partial<ConsolidationDeps> => ({
        startTrainer: () => Promise.reject(error),
      })

      it('that may pass are retried; the third in a row fails the consolidation, and the next one can run', async () => {
        await remember({ questions: 100 })
        const crash = new ServiceError('ENGINE_CRASHED', 'train: expected an answer, got none')
        const process = createConsolidationProcessor(parts(failing(crash)), onWorker())
        const id = await request()
        for (const attempt of [0, 1]) {
          await expect(process(job(id, attempt))).rejects.toBe(crash)
          expect(await consolidations.get(id)).toMatchObject({
            status: 'running',
            step: 'train',
            error: null,
          })
        }
        await expect(process(job(id, 2))).rejects.toBe(crash)
        expect(await consolidations.report(id)).toMatchObject({
          status: 'failed',
          error: expect.stringContaining('ENGINE_CRASHED'),
          retired: null,
          steps: [{ step: 'snapshot.lrm' }, { step: 'split' }],
        })
        expect(await consolidations.get(id)).toMatchObject({
          status: 'failed',
          step: 'train',
          error: 'ENGINE_CRASHED: train: expected an answer, got none',
        })
        expect(await runConsolidation()).toMatchObject({ status: 'promoted' })
      })

      it('that cannot pass fail it at once; messages of foreign errors are not recorded', async () => {
        await remember({ questions: 100 })
        for (const [error, message] of [
          [new ServiceError('GRAPH_PRECONDITION', 'no such node'), 'GRAPH_PRECONDITION: no such node'],
        ] as const) {
          const id = await request()
          const process = createConsolidationProcessor(parts(failing(error)), onWorker())
          await expect(process(job(id, 0))).rejects.toMatchObject({ name: 'UnrecoverableError' })
          expect(await consolidations.get(id)).toMatchObject({ status: 'failed', error: message })
        }
        const id = await request()
        const process = createConsolidationProcessor(
          parts(failing(new Error('postgres://user:secret@host'))),
          onWorker(),
        )
        await expect(process(job(id, 2))).rejects.toThrow('secret')
        expect((await consolidations.get(id)).error).toBe('INTERNAL: see the log of the worker')
      })

      it('a worker that stops requeues its consolidation', async () => {
        await remember({ questions: 100 })
        const stopping = new AbortController()
        const id = await request()
        const process = createConsolidationProcessor(
          parts({
            startTrainer: async () => {
              stopping.abort()
              const { load, openTask } = runner
              return { load, openTask, peakMemoryBytes: async () => 2 ** 20, close: async () => {} }
            },
          }),
          onWorker(stopping.signal),
        )
        await expect(process(job(id, 2))).rejects.toBeInstanceOf(RequeueError)
        expect(await consolidations.get(id)).toMatchObject({ status: 'running', error: null })
        await expect(consolidations.report(id)).rejects.toMatchObject({ code: 'REPORT_NOT_FOUND' })
      })

      it('a consolidation that has crashed its worker 20 times is marked failed', async () => {
        await remember({ questions: 100 })
        const id = await request()
        await consolidations.enterStep(id, 'train', 0.1)
        for (let attempt = 0; attempt < 20; attempt++) await consolidations.begin(id)
        await consolidate(parts(), id, never)
        expect(await consolidations.get(id)).toMatchObject({
          status: 'failed',
          error: 'failed after 20 attempts, the last one in step train',
        })
      })
    })

    describe('through the queue', () => {
      const settled = { timeout: 40_000, interval: 100 }

      function work(over: Partial<ConsolidationDeps> = {}): RunningWorker {
        const { database } = test
        const queues = connectQueues({ database, logger: silent })
        const worker = queues.startWorker({
          store: episodes,
          outbox: createOutbox({ database }),
          consolidation: parts(over),
        })
        onTestFinished(async () => {
          await worker.close()
          await queues.close()
        })
        return worker
      }

      it('a worker runs it, and a second request meanwhile returns the same one', async () => {
        await remember({ questions: 100 })
        const id = await request()
        expect(await request()).toBe(id)
        work()
        await vi.waitFor(async () => expect((await consolidations.get(id)).status).toBe('promoted'), settled)
        expect(await request()).not.toBe(id)
      }, 60_000)

      it('another worker finishes the consolidation of a worker that closes', async () => {
        await remember({ questions: 100 })
        const id = await request()
        let started = (): void => {}
        const training = new Promise<void>((resolve) => {
          started = resolve
        })
        const worker = work({
          startTrainer: async () => {
            started()
            // A training that ends only with the worker.
            const ends = () =>
              new Promise<never>((_resolve, reject) => setTimeout(reject, 500, new Error('closed')))
            return {
              load: ends,
              openTask: ends,
              peakMemoryBytes: async () => 2 ** 20,
              close: async () => {},
            }
          },
        })
        await training
        await worker.close()
        expect(await consolidations.get(id)).toMatchObject({ status: 'running', step: 'train' })
        const closed = performance.now()
        work()
        await vi.waitFor(async () => expect((await consolidations.get(id)).status).toBe('promoted'), settled)
        // At once, not when a lock has expired.
        expect(performance.now() - closed).toBeLessThan(10_000)
      }, 60_000)
    })
  })
}

/**
 * Simulates a process that dies at the given write: that write and all later ones throw and have no effect.
 */
function dyingAtWrite(
  parts: ConsolidationDeps,
  writes: number,
): { readonly parts: ConsolidationDeps; readonly death: Error } {
  const death = new Error('SIGKILL')
  let left = writes
  let isDead = false
  const dying =
    <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      if (!isDead && left === 0) isDead = true
      left -= 1
      if (isDead) throw death
      return call(...args)
    }
  const { consolidations, artifacts } = parts
  return {
    death,
    parts: {
      ...parts,
      consolidations: {
        ...consolidations,
        begin: dying(consolidations.begin),
        enterStep: dying(consolidations.enterStep),
        finishStep: dying(consolidations.finishStep),
        finish: dying(consolidations.finish),
      },
      artifacts: { ...artifacts, add: dying(artifacts.add), settle: dying(artifacts.settle) },
    },
  }
}
