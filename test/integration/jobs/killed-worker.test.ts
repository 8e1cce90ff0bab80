/**
 * @file Consolidations by the deployed worker, on real servers and the bundled model: killed in every step,
 * and undisturbed.
 */

import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  type ArtifactStore,
  type Consolidation,
  type ConsolidationStore,
  createArtifactStore,
  createConsolidationStore,
} from '#artifacts'
import { createEngine } from '#engine'
import { createEpisodeStore } from '#episodes'
import { createSolver } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { type Child, startProgram } from '../../support/child-process.ts'
import {
  createServerDatabase,
  emptyRedis,
  type ServerDatabase,
  servers,
} from '../../support/server-database.ts'
import { silent } from '../../support/test-database.ts'

const WORKER = join(import.meta.dirname, '../../../src/worker.ts')
const MODEL = join(import.meta.dirname, '../../../models/order-of-operations')
const QUESTIONS = 120
/** Records of a consolidation of both kinds, in order. */
const RECORDS = [
  'snapshot.weaver',
  'snapshot.lrm',
  'split',
  'train.weaver',
  'train.lrm',
  'gate.weaver',
  'gate.lrm',
  'promote.weaver',
  'promote.lrm',
  'prune',
  'report',
]
/** Steps at whose end the worker is killed: the work is done, and its record is lost. */
const KILLED_AT = [
  'snapshot.lrm',
  'split',
  'train.weaver',
  'train.lrm',
  'gate.weaver',
  'promote.lrm',
  'prune',
  'report',
]

describe.skipIf(servers === null)('consolidations by the worker', () => {
  let test: ServerDatabase
  let consolidations: ConsolidationStore
  let artifacts: ArtifactStore
  let fingerprint: string
  const workers: Child[] = []

  beforeAll(async () => {
    test = await createServerDatabase()
    const { database } = test
    consolidations = createConsolidationStore({ database })
    artifacts = createArtifactStore({ database })
    // Recording a step that is named here takes `seconds`, time to kill the worker.
    await database.pool.query(`
      create table pauses (step text primary key, seconds integer not null);
      create function pause_in_step() returns trigger language plpgsql as $$
        begin
          perform pg_sleep(seconds) from pauses where pauses.step = new.step;
          return new;
        end $$;
      create trigger pause_in_step before insert on consolidation_steps for each row execute function pause_in_step()`)
    const onCpu = { executionProvider: 'cpu', cudaDevice: 0 } as const
    const engine = await createEngine({ ...onCpu, directory: MODEL, logger: silent })
    ;({ fingerprint } = engine.model)
    const solver = createSolver({ engine, episodes: createEpisodeStore({ database }), logger: silent })
    const { signal } = new AbortController()
    for (const [seed, problem] of makeProblems({ split: 'train', count: QUESTIONS, seed: 97 }).entries()) {
      const { question, answer: reference } = problem
      const asked = { tenantId: 'default', question, reference, seed, learn: true, explain: false }
      // Latents for the weaver; right and wrong answers for the latent reward model.
      await solver.solve({ ...asked, strategy: 'auto' }, { signal })
      await solver.solve({ ...asked, strategy: 'majority', samples: 4 }, { signal })
    }
    await engine.close()
    // A consolidation waits for labels, but not for as long as a busy machine takes.
    const worker = await startWorker('')
    const pending = "select from episodes where status = 'pending' limit 1"
    await vi.waitFor(async () => expect((await database.pool.query(pending)).rowCount).toBe(0), {
      timeout: 60_000,
      interval: 100,
    })
    await worker.kill()
    workers.splice(workers.indexOf(worker), 1)
  }, 120_000)
  afterAll(() => test.drop())
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.kill()
    await test.database.pool.query('truncate pauses')
  })

  async function startWorker(redisUrl: string): Promise<Child> {
    const env = {
      DATABASE_URL: test.url,
      REDIS_URL: redisUrl,
      NIGHT_EVERY_EPISODES: '0',
      NIGHT_EVIDENCE_QUESTIONS: '0',
      LOG_LEVEL: 'info',
    }
    const worker = startProgram(WORKER, { env })
    workers.push(worker)
    await worker.line('ready')
    return worker
  }

  async function request(): Promise<string> {
    const wish = { fingerprint, kinds: ['weaver', 'lrm'], force: true, trigger: 'request' } as const
    return (await consolidations.request(wish)).id
  }

  async function ended(id: string): Promise<Consolidation> {
    await vi.waitFor(async () => expect((await consolidations.get(id)).finishedAt).not.toBeNull(), {
      timeout: 180_000,
      interval: 250,
    })
    return consolidations.get(id)
  }

  const pauseAt = async (step: string, seconds: number) => {
    await test.database.pool.query('truncate pauses')
    await test.database.pool.query('insert into pauses values ($1, $2)', [step, seconds])
  }

  const PAUSING = "from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"

  async function isPausing(): Promise<boolean> {
    return (await test.database.pool.query(`select ${PAUSING}`)).rows.length > 0
  }

  /** Ends the transaction of a dead worker, whose record is lost with it. */
  async function losePausingRecord(): Promise<void> {
    await test.database.pool.query(`select pg_terminate_backend(pid) ${PAUSING}`)
    await vi.waitFor(async () => expect(await isPausing()).toBe(false), { timeout: 20_000, interval: 20 })
  }

  /** Removes the lock of a dead worker's job now, which Redis would do 15 s after the last renewal. */
  async function expireLock(redisUrl: string): Promise<void> {
    const redis = new Redis(redisUrl)
    const locks = await redis.keys('*:consolidations:*:lock')
    expect(locks).toHaveLength(1)
    await redis.del(locks)
    redis.disconnect()
  }

  /** Expects every step to be recorded once, and one version of each kind, without duplicate episodes. */
  async function expectEndedOnce(id: string): Promise<void> {
    const done = await ended(id)
    expect(['promoted', 'rejected']).toContain(done.status)
    expect(done).toMatchObject({ progress: 1, error: null, artifacts: [{ kind: 'weaver' }, { kind: 'lrm' }] })
    // The gate also records its looks, as many as it needed.
    const records = (await consolidations.steps(id)).map(({ step }) => step)
    expect(records.filter((step) => !step.includes('.look-'))).toEqual(RECORDS)
    const made = (await artifacts.list({ limit: 20 })).filter(({ consolidationId }) => consolidationId === id)
    expect(made.map(({ kind }) => kind).sort(), JSON.stringify(done.artifacts)).toEqual(['lrm', 'weaver'])
    const serving = await artifacts.active(fingerprint)
    for (const { id: artifactId, kind, version, status } of made) {
      const { episodes } = await artifacts.manifest(artifactId)
      expect(episodes.length).toBeGreaterThan(20)
      expect(new Set(episodes.map(({ episodeId }) => episodeId)).size).toBe(episodes.length)
      expect(done.artifacts).toContainEqual(expect.objectContaining({ version, status }))
      if (status === 'promoted') expect(serving[kind]?.id).toBe(artifactId)
    }
    const report = await consolidations.report(id)
    expect(report).toMatchObject({
      status: done.status,
      attempts: done.attempts,
      retired: expect.any(Number),
    })
  }

  it('end once when the worker is killed with SIGKILL at the end of every step in turn', async () => {
    const redisUrl = await emptyRedis(5)
    const id = await request()
    for (const step of KILLED_AT) {
      await pauseAt(step, 60)
      const worker = await startWorker(redisUrl)
      await vi.waitFor(async () => expect(await isPausing(), step).toBe(true), {
        timeout: 120_000,
        interval: 50,
      })
      await worker.kill()
      workers.splice(workers.indexOf(worker), 1)
      await losePausingRecord()
      // The first lock expires by itself.
      if (step !== KILLED_AT[0]) await expireLock(redisUrl)
    }
    await test.database.pool.query('truncate pauses')
    await startWorker(redisUrl)
    await expectEndedOnce(id)
    expect((await consolidations.get(id)).attempts).toBe(KILLED_AT.length + 1)
  }, 600_000)

  it.each([
    ['Redis', 6],
    ['PostgreSQL', null],
  ] as const)(
    'stay with one worker when they take longer than the lock of their job, with the queue in %s',
    async (_name, redis) => {
      const redisUrl = redis === null ? '' : await emptyRedis(redis)
      await pauseAt('gate.weaver', 25)
      const [one, other] = await Promise.all([startWorker(redisUrl), startWorker(redisUrl)])
      const id = await request()
      await expectEndedOnce(id)
      const { attempts, startedAt, finishedAt } = await consolidations.get(id)
      expect(attempts).toBe(1)
      expect(Date.parse(finishedAt!) - Date.parse(startedAt!)).toBeGreaterThan(20_000)
      const lines = [...one!.lines, ...other!.lines].join('\n')
      expect(lines).not.toMatch(/worker of a job died|job locks not renewed|job failed/)
    },
    180_000,
  )
})
