/**
 * @file A worker to be killed, on the embedded database in a folder (first argument): prints each step it
 * enters, and outcomes.
 */

import { createConsolidationStore } from '#artifacts'
import type { ConsolidationDeps } from '#consolidation'
import { TRAINING_PROGRAM } from '#consolidation'
import { openDatabase } from '#database'
import { createTrainer } from '#engine'
import { createEpisodeStore, createOutbox } from '#episodes'
import { connectQueues } from '#jobs'
import { consolidationDeps } from '../../src/consolidation-deps.ts'
import { SMALL_NETWORK } from '../support/small-network.ts'
import { silent } from '../support/test-database.ts'

const onCpu = { executionProvider: 'cpu', cudaDevice: 0 } as const
const database = await openDatabase({ dataDir: process.argv[2] ?? '', logger: silent })
const consolidations = createConsolidationStore({ database })
const consolidation: ConsolidationDeps = {
  ...consolidationDeps({ database, engine: onCpu, logger: silent }),
  consolidations: {
    ...consolidations,
    async enterStep(id, step, progress) {
      await consolidations.enterStep(id, step, progress)
      console.log(`step ${step}`)
    },
    async finish(id, outcome) {
      await consolidations.finish(id, outcome)
      console.log(`ended ${outcome.status}`)
    },
  },
  async startTrainer() {
    const trainer = await createTrainer({ ...onCpu, logger: silent, program: TRAINING_PROGRAM })
    console.log(`trainer ${trainer.status().pid}`)
    return trainer
  },
  // The training takes long enough for the test to kill the worker in it.
  rewardModel: { ...SMALL_NETWORK, epochs: 60, patience: 60 },
}
// A shorter lock than in service, so that the next worker takes over sooner.
connectQueues({ database, logger: silent, lockMs: 4_000 }).startWorker({
  store: createEpisodeStore({ database }),
  outbox: createOutbox({ database }),
  consolidation,
})
console.log('ready')
