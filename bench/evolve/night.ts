/** @file One night: the service's own consolidation of the weaver, run in this process. */

import { createArtifactStore, createConsolidationStore, createLearningStore } from '#artifacts'
import { TRAINING_PROGRAM } from '#consolidation'
import { createTrainer } from '#engine'
import { createTrainingStore } from '#episodes'
import { consolidate } from '../../src/consolidation/consolidate.ts'
import type { Workbench } from '../quality/workbench.ts'

export interface Night {
  readonly status: 'promoted' | 'awaiting-review' | 'rejected' | 'skipped'
  readonly reason: string | null
  /** Number of episodes available for training. */
  readonly episodes: number
  readonly seconds: number
  /** Peak memory of the training process; null when nothing was trained. */
  readonly trainerMiB: number | null
  /**
   * Share of the squared shift that the candidate explains on held-out questions; null without a candidate.
   */
  readonly explained: number | null
}

const MIB = 2 ** 20

/** Runs a consolidation. A promoted weaver is active afterwards; the caller refreshes its watcher. */
export async function holdNight({ engine, database, episodes, logger }: Workbench): Promise<Night> {
  const consolidations = createConsolidationStore({ database })
  const { fingerprint } = engine.model
  let trainerMiB: number | null = null
  const startTrainer = async () => {
    const trainer = await createTrainer({
      executionProvider: 'cpu',
      cudaDevice: 0,
      logger,
      program: TRAINING_PROGRAM,
    })
    const close = async () => {
      trainerMiB = (await trainer.peakMemoryBytes()) / MIB
      await trainer.close()
    }
    return { ...trainer, close }
  }
  const { id } = await consolidations.request({
    fingerprint,
    kinds: ['weaver'],
    force: true,
    trigger: 'request',
  })
  const started = performance.now()
  await consolidate(
    {
      consolidations,
      episodes,
      logger,
      startTrainer,
      codeVersion: 'bench',
      artifacts: createArtifactStore({ database }),
      learning: createLearningStore({ database }),
      training: createTrainingStore({ database }),
      // The replay uses the serving engine, which stays open.
      openReplayEngine: async () => ({ engine, close: async () => {} }),
    },
    id,
    new AbortController().signal,
  )
  const seconds = (performance.now() - started) / 1000
  const { artifacts, episodes: count } = await consolidations.get(id)
  const { status, reason, metrics } = artifacts[0]!
  const explained = metrics['explained']?.value ?? null
  return { status, reason, episodes: count, seconds, trainerMiB, explained }
}
