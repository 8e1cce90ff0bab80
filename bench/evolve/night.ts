/** @file One night: the service's own consolidation of the weaver, run here and now. */

import { createArtifactStore, createConsolidationStore } from '#artifacts'
import { createTrainer } from '#engine'
import { createTrainingStore } from '#episodes'
import { consolidate } from '../../src/consolidation/consolidate.ts'
import type { Workbench } from '../quality/workbench.ts'

export interface Night {
  readonly status: 'promoted' | 'rejected' | 'skipped'
  readonly reason: string | null
  /** There were to train on. */
  readonly episodes: number
  readonly seconds: number
  /** Most memory that the training process had in use; null when there was nothing to train. */
  readonly trainerMiB: number | null
  /** Share of the squared shift that the candidate explains on questions it never saw; null when there is none. */
  readonly explained: number | null
}

const MIB = 2 ** 20

/** What is promoted is active from here on; whoever serves has to look. */
export async function holdNight({ engine, database, episodes, logger }: Workbench): Promise<Night> {
  const consolidations = createConsolidationStore({ database })
  const { fingerprint } = engine.model
  let trainerMiB: number | null = null
  const startTrainer = async () => {
    const trainer = await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger })
    const close = async () => {
      trainerMiB = (await trainer.peakMemoryBytes()) / MIB
      await trainer.close()
    }
    return { ...trainer, close }
  }
  const { id } = await consolidations.request({
    ...{ fingerprint, kinds: ['weaver'], force: true, trigger: 'request' },
  })
  const started = performance.now()
  await consolidate(
    {
      ...{ consolidations, episodes, logger, startTrainer, codeVersion: 'bench' },
      artifacts: createArtifactStore({ database }),
      training: createTrainingStore({ database }),
      // The model that serves is the judge as well; it stays.
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
