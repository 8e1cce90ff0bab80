/** @file The rollback of a weaver over HTTP: its answers are asked for and called wrong, and the worker rolls it back. */

import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { Artifact } from '#artifacts'
import { createEngine } from '#engine'
import { createEpisodeStore, createOutbox } from '#episodes'
import { buildApp } from '#http'
import { connectQueues } from '#jobs'
import { encodeModel } from '#onnx'
import { watchActiveArtifacts } from '#serving'
import { createSolver, type Solution } from '#solving'
import { float32 } from '#tensor'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { compileWeaver } from '../../src/algorithms/latent-evolve/weaver-graphs.ts'
import { createWeaverParameters } from '../../src/algorithms/latent-evolve/weaver-network.ts'
import { consolidationDeps } from '../../src/consolidation-deps.ts'
import { newArtifact } from '../support/artifacts.ts'
import { memoryConsolidations, memorySolutions } from '../support/http-app.ts'
import { createEmbeddedDatabase, silent } from '../support/test-database.ts'

const MODEL = join(import.meta.dirname, '../../models/order-of-operations')
const OUTCOMES = 32
const LATENTS = 2

/** Bytes of a weaver that was never trained, which changes nothing. */
function untrainedWeaver(width: number): Uint8Array {
  const architecture = { latents: LATENTS, width, hidden: 8, blocks: 1 }
  const scale = {
    mean: float32(new Float32Array(width)),
    deviation: float32(new Float32Array(width).fill(1)),
  }
  const parameters = createWeaverParameters(architecture, 1)
  return encodeModel(compileWeaver(architecture, scale, parameters, { maxShift: 1 }))
}

test('a promoted weaver whose answers callers reject is rolled back, and stays away unless forced', async () => {
  const parts = new AsyncDisposableStack()
  onTestFinished(() => parts.disposeAsync())
  const keep = <Part extends { close(): PromiseLike<unknown> }>(part: Part) =>
    parts.adopt(part, async () => {
      await part.close()
    })
  const opened = await createEmbeddedDatabase()
  parts.defer(() => opened.drop())
  const { database } = opened
  const onCpu = { executionProvider: 'cpu', cudaDevice: 0 } as const
  const engine = keep(await createEngine({ ...onCpu, directory: MODEL, logger: silent }))
  const consolidation = consolidationDeps({ database, engine: onCpu, logger: silent })
  const { artifacts, consolidations, learning } = consolidation
  const { fingerprint } = engine.model
  const episodes = createEpisodeStore({ database })
  const queues = keep(connectQueues({ database, logger: silent }))
  const watcher = keep(watchActiveArtifacts({ artifacts, engine, logger: silent }))
  const app = keep(
    buildApp({
      solutions: memorySolutions().solutions,
      episodes,
      logger: silent,
      solver: createSolver({ engine, episodes, activeModels: watcher.current, logger: silent }),
      admin: {
        consolidations,
        artifacts,
        learning,
        training: consolidation.training,
        audit: memoryConsolidations().admin.audit,
        fingerprint,
      },
      health: () => Promise.reject(new Error('not used by this test')),
      metrics: () => Promise.reject(new Error('not used by this test')),
      observeRequest: () => {},
    }),
  )
  const post = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  const problems = makeProblems({ split: 'heldout', count: 2 * OUTCOMES, seed: 41 })

  async function ask(from: number, correct: boolean): Promise<Set<string | null>> {
    const versions = new Set<string | null>()
    for (const { question } of problems.slice(from, from + OUTCOMES)) {
      const { episodeId, model } = (await post('/solve', { question })).json<Solution>()
      versions.add(model.weaverVersion)
      const told = await post(`/episodes/${episodeId}/feedback`, { correct })
      expect(told.json()).toMatchObject({ weaverVersion: model.weaverVersion ?? 'none', label: correct })
    }
    return versions
  }

  const listed = async () =>
    (await app.inject('/admin/artifacts')).json<{ artifacts: Artifact[] }>().artifacts[0]!

  expect(await ask(0, true)).toEqual(new Set([null]))
  const { id } = await consolidations.request({
    fingerprint,
    kinds: ['weaver'],
    force: false,
    trigger: 'request',
  })
  await consolidations.finish(id, { status: 'promoted', artifacts: [], episodes: 0 })
  const features = { latents: LATENTS, width: engine.hiddenSize }
  const added = await artifacts.add(
    newArtifact(id, {
      bytes: untrainedWeaver(engine.hiddenSize),
      manifest: { kind: 'weaver', fingerprint, features },
    }),
  )
  await artifacts.settle(added.id, { promoted: true, reason: 'firstPass rises' })
  await watcher.refresh()
  expect(await ask(OUTCOMES, false)).toEqual(new Set(['weaver-1']))
  expect(await listed()).toMatchObject({ version: 'weaver-1', active: true, activatedBy: 'promotion' })

  // Maintenance looks at once.
  keep(
    queues.startWorker({
      store: episodes,
      outbox: createOutbox({ database }),
      consolidation,
      healthRollback: true,
    }),
  )
  await vi.waitFor(async () => expect((await listed()).active).toBe(false), { timeout: 20_000 })
  expect(await listed()).toMatchObject({
    status: 'rejected',
    rolledBackAt: expect.any(String),
    reason: expect.stringContaining('firstPass rises; rolled back to no version by itself'),
    metrics: { live: { value: 0, n: OUTCOMES } },
    baseline: { live: { value: 1, n: OUTCOMES } },
  })
  await watcher.refresh()
  const after = (await post('/solve', { question: problems[0]!.question, learn: false })).json<Solution>()
  expect(after.model.weaverVersion).toBe(null)

  const path = `/admin/artifacts/${added.id}/activate`
  const refused = await post(path, {})
  expect([refused.statusCode, refused.json().code]).toEqual([409, 'ARTIFACT_NOT_PROMOTED'])
  expect((await post(path, { force: true })).json()).toMatchObject({ active: true, activatedBy: 'operator' })
}, 120_000)
