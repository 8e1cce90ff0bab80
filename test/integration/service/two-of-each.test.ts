/** @file Two API processes and two workers on one PostgreSQL and one Redis: no work is done twice. */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Artifact, Consolidation } from '#artifacts'
import type { Solution } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { type Child, startProgram } from '../../support/child-process.ts'
import {
  createServerDatabase,
  emptyRedis,
  type ServerDatabase,
  servers,
} from '../../support/server-database.ts'
import { type ServiceProcess, startService } from '../../support/service-process.ts'

const WORKER = join(import.meta.dirname, '../../../src/worker.ts')
const REDIS_NUMBER = 9
const QUESTIONS = 120
/** Time, in ms, in which an activated version reaches every API. */
const REACH_MS = 5_000

describe.skipIf(servers === null)('two APIs and two workers', () => {
  let test: ServerDatabase
  const apis: ServiceProcess[] = []
  const workers: Child[] = []

  beforeAll(async () => {
    test = await createServerDatabase()
    // Every run of an indexing job and every start of a consolidation leaves a row.
    await test.database.pool.query(`
      create table runs (kind text, id uuid);
      create function log_run() returns trigger language plpgsql as $$
        begin insert into runs values (tg_argv[0], new.id); return null; end $$;
      create trigger log_indexing after update of status on episodes
        for each row execute function log_run('episode');
      create trigger log_attempt after update of attempts on consolidations
        for each row when (new.attempts <> old.attempts) execute function log_run('consolidation')`)
    const redisUrl = await emptyRedis(REDIS_NUMBER)
    const env = {
      DATABASE_URL: test.url,
      REDIS_URL: redisUrl,
      NIGHT_EVERY_EPISODES: '0',
      NIGHT_EVIDENCE_QUESTIONS: '0',
    }
    apis.push(...(await Promise.all([startService(env), startService(env)])))
    for (let count = 0; count < 2; count++) {
      const worker = startProgram(WORKER, { env: { ...env, LOG_LEVEL: 'info' } })
      workers.push(worker)
      await worker.line('ready')
    }
  }, 120_000)
  afterAll(async () => {
    for (const worker of workers) await worker.kill()
    for (const api of apis) await api[Symbol.asyncDispose]()
    await test.drop()
  })

  const api = (index: number): ServiceProcess => apis[index % apis.length]!

  async function runs(kind: string): Promise<string[]> {
    const { rows } = await test.database.pool.query<{ id: string }>('select id from runs where kind = $1', [
      kind,
    ])
    return rows.map(({ id }) => id)
  }

  it('index each episode once', async () => {
    const problems = makeProblems({ split: 'train', count: QUESTIONS, seed: 97 })
    const ids: string[] = []
    for (let from = 0; from < problems.length; from += 4) {
      const answers = await Promise.all(
        problems.slice(from, from + 4).map(({ question, answer: reference }, index) => {
          const body = { question, reference, strategy: 'majority', samples: 4, seed: from + index }
          return api(index).ask<Solution>('/solve', { body })
        }),
      )
      for (const { status, body } of answers) {
        expect(status, JSON.stringify(body)).toBe(200)
        ids.push(body.episodeId!)
      }
    }
    await vi.waitFor(async () => expect(new Set(await runs('episode'))).toEqual(new Set(ids)), {
      timeout: 20_000,
      interval: 100,
    })
    // Time for a second run of a job, if there were one.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect((await runs('episode')).toSorted()).toEqual(ids.toSorted())
  }, 120_000)

  async function consolidate(): Promise<Consolidation> {
    const body = { artifacts: ['lrm'], force: true }
    const requested = await Promise.all(
      [0, 1, 2, 3].map((index) => api(index).ask<Consolidation>('/admin/consolidations', { body })),
    )
    const ids = new Set(requested.map((answer) => answer.body.id))
    expect([...ids]).toHaveLength(1)
    const [id] = ids
    const get = async () => (await api(1).ask<Consolidation>(`/admin/consolidations/${id}`)).body
    await vi.waitFor(async () => expect((await get()).finishedAt).not.toBeNull(), {
      timeout: 280_000,
      interval: 250,
    })
    return get()
  }

  const artifacts = async () =>
    (await api(0).ask<{ artifacts: Artifact[] }>('/admin/artifacts')).body.artifacts

  async function expectServed(version: string, since: number): Promise<void> {
    for (const { origin } of apis) {
      await vi.waitFor(
        async () => {
          const metrics = await (await fetch(`${origin}/metrics`)).text()
          const pattern = new RegExp(`^circadian:artifact_info\\{.*version="${version}".*\\} 1$`, 'm')
          expect(metrics).toMatch(pattern)
        },
        { timeout: 2 * REACH_MS, interval: 50 },
      )
      expect(Date.now() - since).toBeLessThan(REACH_MS)
    }
  }

  it('run a consolidation once', async () => {
    const night = await consolidate()
    expect(night).toMatchObject({ step: 'report', progress: 1 })
    expect(night).not.toHaveProperty('error')
    expect(await runs('consolidation')).toEqual([night.id])
    expect((await artifacts()).map(({ version }) => version)).toEqual(['lrm-1'])
  }, 300_000)

  it('serve an activated version within 5 s', async () => {
    // A second version with the bytes of the first, so that the test trains once.
    await test.database.pool.query(`
      with night as (
        insert into consolidations (fingerprint, kinds, force, trigger, status, finished_at)
        select fingerprint, kinds, force, trigger, status, now() from consolidations
        returning id
      )
      insert into artifacts (consolidation_id, kind, fingerprint, number, sha256, bytes, size, manifest, metrics,
        baseline, episodes, status)
      select night.id, kind, fingerprint, 2, sha256, bytes, size, manifest, metrics, baseline, episodes, status
      from artifacts, night`)
    for (const [index, version] of ['lrm-2', 'lrm-1'].entries()) {
      const next = (await artifacts()).find((artifact) => artifact.version === version)!
      // Whether the gate promoted it does not matter here.
      const body = { force: true }
      const activated = await api(index).ask(`/admin/artifacts/${next.id}/activate`, { body })
      expect(activated.status, JSON.stringify(activated.body)).toBe(200)
      await expectServed(version, Date.now())
    }
  })
})
