/**
 * @file Consolidations of the bundled model: requested over HTTP, trained in a child process, served and
 * rolled back.
 */

import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NightReport } from '#artifacts'
import type { ConsolidationDeps } from '#consolidation'
import type { Database } from '#database'
import { createEngine, type Engine } from '#engine'
import { createEpisodeStore, createOutbox, type EpisodeStore } from '#episodes'
import { buildApp } from '#http'
import { connectQueues } from '#jobs'
import { watchActiveArtifacts } from '#serving'
import { createSolver, type Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { consolidationDeps } from '../../src/consolidation-deps.ts'
import { eraseAll } from '../support/erase-all.ts'
import { memoryConsolidations, memorySolutions } from '../support/http-app.ts'
import { SMALL_NETWORK } from '../support/small-network.ts'
import { createEmbeddedDatabase, silent } from '../support/test-database.ts'

const MODEL = join(import.meta.dirname, '../../models/order-of-operations')
const problems = makeProblems({ split: 'heldout', count: 120, seed: 95 })

interface Ended {
  readonly id: string
  readonly status: string
  readonly error?: string | null
  readonly artifacts: readonly {
    readonly kind: string
    readonly version: string | null
    readonly status: string
    readonly reason?: string
  }[]
}

describe('consolidations', () => {
  const parts = new AsyncDisposableStack()
  let app: ReturnType<typeof buildApp>
  let database: Database
  let store: EpisodeStore
  let engine: Engine
  let artifacts: ConsolidationDeps['artifacts']
  let consolidations: ConsolidationDeps['consolidations']

  beforeAll(async () => {
    const keep = <Part extends { close(): PromiseLike<unknown> }>(part: Part) =>
      parts.adopt(part, async () => {
        await part.close()
      })
    const opened = await createEmbeddedDatabase()
    parts.defer(() => opened.drop())
    ;({ database } = opened)
    const onCpu = { executionProvider: 'cpu', cudaDevice: 0 } as const
    engine = keep(await createEngine({ ...onCpu, directory: MODEL, logger: silent }))
    const consolidation: ConsolidationDeps = {
      ...consolidationDeps({
        database,
        engine: onCpu,
        logger: silent,
        openReplayEngine: async () => ({ engine, close: async () => {} }),
      }),
      rewardModel: SMALL_NETWORK,
      weaver: { hidden: 32, epochs: 5 },
    }
    const { learning } = consolidation
    ;({ artifacts, consolidations } = consolidation)
    const episodes = createEpisodeStore({ database })
    store = episodes
    const queues = keep(connectQueues({ database, logger: silent }))
    keep(queues.startWorker({ store: episodes, outbox: createOutbox({ database }), consolidation }))
    const learned = keep(watchActiveArtifacts({ artifacts, engine, logger: silent, pollMs: 200 }))
    app = keep(
      buildApp({
        solutions: memorySolutions().solutions,
        episodes,
        logger: silent,
        solver: createSolver({ engine, episodes, activeModels: learned.current, logger: silent }),
        admin: {
          consolidations,
          artifacts,
          learning,
          training: consolidation.training,
          audit: memoryConsolidations().admin.audit,
          fingerprint: engine.model.fingerprint,
        },
        health: () => Promise.reject(new Error('not used by this test')),
        metrics: () => Promise.reject(new Error('not used by this test')),
        observeRequest: () => {},
      }),
    )
  }, 60_000)
  afterAll(() => parts.disposeAsync())

  const solve = async (payload: object) => {
    const response = await app.inject({ method: 'POST', url: '/solve', payload })
    expect(response.statusCode, response.body).toBe(200)
    return response.json<Solution>()
  }

  async function consolidate(force = true): Promise<Ended> {
    // On a busy machine, labelling takes longer than a consolidation waits for it.
    const pending = "select from episodes where status = 'pending' limit 1"
    while ((await database.pool.query(pending)).rowCount !== 0) await setTimeout(100)
    const asked = await app.inject({ method: 'POST', url: '/admin/consolidations', payload: { force } })
    expect(asked.statusCode).toBe(202)
    for (;;) {
      const consolidation = (await app.inject(String(asked.headers.location))).json<Ended>()
      if (consolidation.status === 'failed') throw new Error(`consolidation failed: ${consolidation.error}`)
      if (!['queued', 'running'].includes(consolidation.status)) return consolidation
      await setTimeout(50)
    }
  }

  /** Activates a version while solves are running. @returns the version of each solve, in order */
  async function activateUnderLoad(version: string): Promise<(string | null)[]> {
    const { artifacts } = (await app.inject('/admin/artifacts')).json<{
      artifacts: { id: string; version: string }[]
    }>()
    const id = artifacts.find((artifact) => artifact.version === version)?.id
    const activated = await app.inject({
      method: 'POST',
      url: `/admin/artifacts/${id}/activate`,
      payload: { force: true },
    })
    expect(activated.json()).toMatchObject({ version, active: true })
    const since = performance.now()
    const versions: (string | null)[] = []
    while (versions.at(-1) !== version) {
      const { question } = problems[versions.length % problems.length]!
      const { model, degraded, confidence } = await solve({ question, strategy: 'auto', learn: false })
      expect(degraded).toEqual([])
      expect(confidence === null).toBe(model.lrmVersion === null && model.judgeVersion === null)
      const served = { lrm: model.lrmVersion, weaver: model.weaverVersion, judge: model.judgeVersion }
      versions.push(served[version.split('-')[0] as keyof typeof served])
      expect(performance.now() - since, 'not served within 5 s').toBeLessThan(5_000)
    }
    return versions
  }

  test('trains versions from labelled episodes, serves them, trains the next ones, and rolls back', async () => {
    const day = problems.map(({ question, answer }, seed) =>
      solve({ question, reference: answer, strategy: 'majority', samples: 4, seed }),
    )
    const searched = problems.map(({ question, answer }, seed) =>
      solve({ question, reference: answer, seed }),
    )
    for (const { model } of await Promise.all([...day, ...searched])) {
      expect(model).toMatchObject({ lrmVersion: null, weaverVersion: null })
    }

    const first = await consolidate()
    expect(first).toMatchObject({
      progress: 1,
      step: 'report',
      episodes: 2 * problems.length,
      artifacts: [
        { kind: 'weaver', version: 'weaver-1' },
        { kind: 'lrm', version: 'lrm-1' },
        { kind: 'judge', version: 'judge-1' },
      ],
    })
    const isPromoted = first.artifacts.some(({ status }) => status === 'promoted')
    expect(first.status).toBe(isPromoted ? 'promoted' : 'rejected')
    for (const version of ['lrm-1', 'weaver-1', 'judge-1'])
      expect(await activateUnderLoad(version)).toContain(version)
    const without = await solve({ question: problems[0]!.question, weaver: false, learn: false })
    expect(without.model.weaverVersion).toBeNull()
    const lto = await solve({ question: problems[0]!.question, strategy: 'lto', samples: 4, learn: false })
    expect(lto).toMatchObject({
      degraded: [],
      model: { lrmVersion: 'lrm-1' },
      confidence: expect.any(Number),
    })
    const best = { question: problems[0]!.question, strategy: 'best-of-n', samples: 4, learn: false }
    const judged = await solve({ ...best, explain: true })
    expect(judged).toMatchObject({ degraded: [], model: { judgeVersion: 'judge-1' } })
    const confidences = judged.candidates!.map(({ confidence }) => confidence!)
    expect(judged.confidence).toBe(Math.max(...confidences))

    const second = await consolidate()
    expect(second.artifacts).toMatchObject([
      { version: 'weaver-2' },
      { version: 'lrm-2' },
      { version: 'judge-2' },
    ])
    for (const kind of ['lrm', 'weaver', 'judge']) {
      for (const version of [`${kind}-2`, `${kind}-1`]) {
        const seen = new Set(await activateUnderLoad(version))
        expect([`${kind}-1`, `${kind}-2`]).toEqual(expect.arrayContaining([...seen]))
      }
    }
    const { weaver } = await artifacts.active(engine.model.fingerprint)
    const { options } = await artifacts.manifest(weaver!.id)
    expect(options['validationLoss']).toEqual({ cold: expect.any(Number) })
  }, 120_000)

  test('serves the report as JSON and as Markdown', async () => {
    const [last] = await consolidations.list({ limit: 1 })
    const { id } = last!
    const path = `/admin/consolidations/${id}/report`
    const report = (await app.inject(path)).json<NightReport>()
    expect(report).toMatchObject({
      consolidationId: id,
      trigger: 'request',
      attempts: 1,
      error: null,
      artifacts: [
        {
          kind: 'weaver',
          version: 'weaver-2',
          baseline: { firstPass: expect.any(Object) },
          // One training from the active version, one from nothing.
          losses: { 'validation.warm': expect.any(Number), 'validation.cold': expect.any(Number) },
          // Episodes solved by `majority` have no latents.
          episodes: { remembered: 2 * problems.length, leftOut: { unusable: expect.any(Number) } },
        },
        { kind: 'lrm', version: 'lrm-2', episodes: { learnedFrom: expect.any(Number) } },
        {
          kind: 'judge',
          version: 'judge-2',
          reason: expect.any(String),
          metrics: { withinAuc: expect.any(Object), brier: expect.any(Object) },
          baseline: { withinAuc: expect.any(Object), brier: expect.any(Object) },
          weights: { bias: expect.any(Number), 'verifier.correctness': expect.any(Number) },
        },
      ],
    })
    const steps = report.steps.map(({ step }) => step).filter((step) => !step.includes('look-'))
    expect(steps).toEqual([
      'snapshot.weaver',
      'snapshot.lrm',
      'snapshot.judge',
      'split',
      'train.weaver',
      'train.lrm',
      'gate.weaver',
      'gate.lrm',
      'promote.weaver',
      'promote.lrm',
      'train.judge',
      'gate.judge',
      'promote.judge',
      'prune',
    ])
    expect(report.trainerPeakBytes).toBeGreaterThan(2 ** 20)
    const page = await app.inject({ url: path, headers: { accept: 'text/markdown' } })
    expect(page.body).toContain('## weaver-2')
    expect(page.body).toMatch(/## judge-2: \w+[^#]*\| feature \| weight \|[^#]*\| verifier\.correctness \| /)
  })

  test('trains without the deleted episodes of a tenant, without waiting for new episodes', async () => {
    const { fingerprint } = engine.model
    const theirs = makeProblems({ split: 'heldout', count: 20, seed: 96 })
    const solver = createSolver({ engine, episodes: store, logger: silent })
    for (const [seed, { question, answer }] of theirs.entries()) {
      const asked = { tenantId: 'leaving', question, reference: answer, seed, learn: true, explain: false }
      await solver.solve({ ...asked, strategy: 'auto' }, { signal: new AbortController().signal })
    }
    await consolidate()
    const withThem = await artifacts.list({ fingerprint, limit: 3 })
    expect(withThem.map(({ version }) => version).sort()).toEqual(['judge-3', 'lrm-3', 'weaver-3'])
    for (const { id } of withThem) {
      const { episodes } = await artifacts.manifest(id)
      expect(episodes.some(({ tenantId }) => tenantId === 'leaving')).toBe(true)
      await artifacts.activate(id, fingerprint, { force: true })
    }

    const { id: deletion } = await store.removeAll('leaving')
    await eraseAll(database)
    expect(await store.deletion('leaving', deletion)).toMatchObject({
      status: 'finished',
      deleted: { episodes: theirs.length },
      artifacts: expect.arrayContaining(withThem.map(({ id }) => id)),
    })
    const active = Object.values(await artifacts.active(fingerprint))
    expect(active.map(({ version, stale }) => [version, stale]).sort()).toEqual([
      ['judge-3', true],
      ['lrm-3', true],
      ['weaver-3', true],
    ])
    const again = await consolidate(false)
    // What the reward model was trained on is no material for the judge: by the draw of the split, too little may be left.
    const skipped = again.artifacts.filter(({ status }) => status === 'skipped')
    for (const { kind, reason } of skipped)
      expect([kind, reason]).toEqual(['judge', expect.stringMatching(/^too few/)])
    const fresh = ['judge', 'lrm', 'weaver'].filter((kind) => !skipped.some((other) => other.kind === kind))
    const without = await artifacts.list({ fingerprint, limit: fresh.length })
    expect(without.map(({ version, stale }) => [version, stale]).sort()).toEqual(
      fresh.map((kind) => [`${kind}-4`, false]),
    )
    for (const { id, kind, reason } of without) {
      const { episodes, options } = await artifacts.manifest(id)
      expect(episodes.length).toBeGreaterThan(0)
      expect(episodes.every(({ tenantId }) => tenantId === 'default')).toBe(true)
      // A stale version is still compared with.
      expect(reason).not.toContain('not compared')
      // The stale weaver is no start for the next one.
      if (kind === 'weaver') expect(options['validationLoss']).not.toHaveProperty('warm')
    }
  }, 120_000)
})
