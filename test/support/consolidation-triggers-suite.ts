/** @file Test suite of consolidations triggered by episodes and by schedule, for any queue backend. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type ConsolidationStore,
  createArtifactStore,
  createConsolidationStore,
  createLearningStore,
} from '#artifacts'
import { type ConsolidationDeps, requestDueConsolidations } from '#consolidation'
import { createEpisodeStore, createOutbox, createTrainingStore, type EpisodeStore } from '#episodes'
import { type ConsolidationTriggers, connectQueues } from '#jobs'
import { newEpisode } from './episodes.ts'
import type { TestQueues } from './queues-suite.ts'
import { silent } from './test-database.ts'

const settled = { timeout: 30_000, interval: 50 }

export function describeConsolidationTriggers(name: string, open: () => Promise<TestQueues>): void {
  describe(`triggers of consolidations, with the queue in ${name}`, () => {
    let test: TestQueues
    let episodes: EpisodeStore
    let consolidations: ConsolidationStore
    let consolidation: ConsolidationDeps
    const working: (() => Promise<void>)[] = []

    beforeAll(async () => {
      test = await open()
      const { database } = test
      episodes = createEpisodeStore({ database })
      consolidations = createConsolidationStore({ database })
      const unneeded = () =>
        Promise.reject(new Error('expected no training: there is too little to train on'))
      consolidation = {
        consolidations,
        episodes,
        codeVersion: '1',
        logger: silent,
        artifacts: createArtifactStore({ database }),
        learning: createLearningStore({ database }),
        training: createTrainingStore({ database }),
        startTrainer: unneeded,
        openReplayEngine: unneeded,
      }
    })
    afterAll(() => test.drop())
    beforeEach(async () => {
      await test.database.pool.query('truncate episodes, outbox, consolidations cascade')
    })
    afterEach(async () => {
      for (const close of working.splice(0)) await close()
    })

    function work(consolidationTriggers: ConsolidationTriggers) {
      const { database, redisUrl } = test
      const queues = connectQueues({ database, redisUrl, logger: silent })
      const outbox = createOutbox({ database })
      const worker = queues.startWorker({ store: episodes, outbox, consolidation, consolidationTriggers })
      const close = async () => {
        await worker.close()
        await queues.close()
      }
      working.push(close)
      return { close }
    }

    async function solve(count: number, fingerprint = 'model-1'): Promise<void> {
      for (let n = 0; n < count; n++) await episodes.add(newEpisode({ seed: n, fingerprint }))
    }

    const list = () => consolidations.list({ limit: 20 })
    const ended = async (count: number) => {
      await vi.waitFor(async () => {
        const all = await list()
        expect(all).toHaveLength(count)
        expect(all.every(({ finishedAt }) => finishedAt !== null)).toBe(true)
      }, settled)
      return list()
    }

    it('requests one after a number of episodes, for each model, one at a time', async () => {
      await solve(5)
      await solve(4, 'model-2')
      work({ cron: null, everyEpisodes: 5 })
      expect(await ended(1)).toMatchObject([
        { fingerprint: 'model-1', trigger: 'episodes', force: false, kinds: ['weaver', 'lrm', 'judge'] },
      ])
      const due = () => requestDueConsolidations(consolidation, { trigger: 'episodes', minNewEpisodes: 5 })
      expect(await due()).toEqual([])
      await solve(4)
      expect(await due()).toEqual([])
      await solve(1, 'model-2')
      await solve(1)
      expect((await due()).map(({ fingerprint }) => fingerprint)).toEqual(['model-1', 'model-2'])
      await ended(3)
      await solve(5)
      expect(await due()).toHaveLength(1)
      expect(await due()).toEqual([])
      await ended(4)
    })

    it('requests one by schedule if there are new episodes; a later worker without a schedule removes it', async () => {
      const worker = work({ cron: '* * * * * *', everyEpisodes: 0 })
      await solve(1)
      expect(await ended(1)).toMatchObject([{ fingerprint: 'model-1', trigger: 'schedule' }])
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      expect(await list()).toHaveLength(1)
      await solve(1)
      await ended(2)
      await worker.close()

      work({ cron: null, everyEpisodes: 0 })
      // A job that was enqueued before may still request one.
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      await vi.waitFor(async () => {
        expect((await list()).every(({ finishedAt }) => finishedAt !== null)).toBe(true)
      }, settled)
      const before = (await list()).length
      await solve(1)
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      expect(await list()).toHaveLength(before)
    })

    it('requests none without a worker that runs consolidations', async () => {
      const { database, redisUrl } = test
      const queues = connectQueues({ database, redisUrl, logger: silent })
      const parts = { store: episodes, outbox: createOutbox({ database }) }
      const worker = queues.startWorker({ ...parts, consolidationTriggers: { cron: null, everyEpisodes: 1 } })
      working.push(async () => {
        await worker.close()
        await queues.close()
      })
      await solve(3)
      await new Promise((resolve) => setTimeout(resolve, 500))
      expect(await list()).toEqual([])
    })
  })
}
