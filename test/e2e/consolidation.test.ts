/** @file Nights on the bundled model: asked for over HTTP, trained in a process of their own, served and undone. */

import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '#database'
import { createEngine, type Engine } from '#engine'
import { createEpisodeStore, createOutbox } from '#episodes'
import { buildApp } from '#http'
import { connectQueues, type NightParts } from '#jobs'
import { createSolver, type Solution, watchArtifacts } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { nightParts } from '../../src/nights.ts'
import { SMALL_NETWORK } from '../support/small-network.ts'
import { createEmbeddedDatabase, silent } from '../support/test-database.ts'

const MODEL = join(import.meta.dirname, '../../models/order-of-operations')
const problems = makeProblems({ split: 'heldout', count: 60, seed: 95 })

interface Ended {
  readonly id: string
  readonly status: string
  readonly artifacts: readonly { readonly version: string | null; readonly status: string }[]
}

describe('nights', () => {
  const parts = new AsyncDisposableStack()
  let app: ReturnType<typeof buildApp>
  let database: Database
  let engine: Engine

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
    const nights: NightParts = {
      ...nightParts({ database, engine: onCpu, logger: silent }),
      lrm: SMALL_NETWORK,
    }
    const { artifacts, consolidations } = nights
    const episodes = createEpisodeStore({ database })
    const queues = keep(connectQueues({ database, logger: silent }))
    keep(queues.startWorker({ store: episodes, outbox: createOutbox({ database }), nights }))
    const learned = keep(watchArtifacts({ artifacts, engine, logger: silent }))
    app = keep(
      buildApp({
        ...{ episodes, logger: silent },
        solver: createSolver({ engine, episodes, learned: learned.current, logger: silent }),
        admin: { consolidations, artifacts, fingerprint: engine.model.fingerprint },
        health: () => Promise.reject(new Error('nobody asks')),
        metrics: () => Promise.reject(new Error('nobody asks')),
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

  async function consolidate(): Promise<Ended> {
    const asked = await app.inject({ method: 'POST', url: '/admin/consolidations', payload: { force: true } })
    expect(asked.statusCode).toBe(202)
    for (;;) {
      const consolidation = (await app.inject(String(asked.headers.location))).json<Ended>()
      if (!['queued', 'running'].includes(consolidation.status)) return consolidation
      await setTimeout(50)
    }
  }

  /** Lets a version serve and solves all the while. @returns the version of each solve, in order */
  async function activateUnderLoad(version: string): Promise<(string | null)[]> {
    const { artifacts } = (await app.inject('/admin/artifacts')).json<{
      artifacts: { id: string; version: string }[]
    }>()
    const id = artifacts.find((artifact) => artifact.version === version)?.id
    const activated = await app.inject({ method: 'POST', url: `/admin/artifacts/${id}/activate` })
    expect(activated.json()).toMatchObject({ version, active: true })
    const since = performance.now()
    const versions: (string | null)[] = []
    while (versions.at(-1) !== version) {
      const { question } = problems[versions.length % problems.length]!
      const { model, degraded, confidence } = await solve({ question, strategy: 'greedy', learn: false })
      expect(degraded).toEqual([])
      expect(confidence === null).toBe(model.lrmVersion === null)
      versions.push(model.lrmVersion)
      expect(performance.now() - since, 'not served within 5 s').toBeLessThan(5_000)
    }
    return versions
  }

  test('what a day has labelled becomes a version, which serves, is followed by another, and comes back', async () => {
    const day = problems.map(({ question, answer }, seed) =>
      solve({ question, reference: answer, strategy: 'majority', samples: 4, seed }),
    )
    for (const solution of await Promise.all(day)) expect(solution.model.lrmVersion).toBeNull()

    const first = await consolidate()
    expect(first).toMatchObject({
      ...{ progress: 1, step: 'promote', episodes: problems.length },
      artifacts: [{ kind: 'lrm', version: 'lrm-1' }],
    })
    expect(first.status).toBe(first.artifacts[0]?.status)
    expect(await activateUnderLoad('lrm-1')).toContain('lrm-1')
    const lto = await solve({ question: problems[0]!.question, strategy: 'lto', samples: 4, learn: false })
    expect(lto).toMatchObject({
      degraded: [],
      model: { lrmVersion: 'lrm-1' },
      confidence: expect.any(Number),
    })

    const second = await consolidate()
    expect(second.artifacts).toMatchObject([{ version: 'lrm-2' }])
    for (const version of ['lrm-2', 'lrm-1']) {
      const seen = new Set(await activateUnderLoad(version))
      expect(['lrm-1', 'lrm-2']).toEqual(expect.arrayContaining([...seen]))
    }
  }, 120_000)
})
