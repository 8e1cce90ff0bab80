/** @file The dependencies of consolidations, the same in the API process and in the worker process. */

import type { Logger } from 'pino'
import { createArtifactStore, createConsolidationStore, createLearningStore } from '#artifacts'
import { type ConsolidationDeps, TRAINING_PROGRAM } from '#consolidation'
import type { Database } from '#database'
import { createTrainer } from '#engine'
import { createEpisodeStore, createTrainingStore } from '#episodes'
import { ServiceError } from '#errors'
import manifest from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'

export function consolidationDeps(deps: {
  readonly database: Database
  readonly engine: Pick<Config['engine'], 'executionProvider' | 'cudaDevice'>
  /**
   * Opens an engine for judging weavers: the engine of this process or a new one. Without it, no weaver is
   * promoted.
   */
  readonly openReplayEngine?: ConsolidationDeps['openReplayEngine']
  /** What becomes of a version that passed its gate; `auto` unless given. */
  readonly promote?: Config['nights']['promote']
  readonly logger: Logger
  /** Limits of the answers that consolidations sample; none are sampled unless given. */
  readonly evidence?: Config['nights']['evidence']
}): ConsolidationDeps {
  const { database, openReplayEngine = noModel, promote = 'auto', logger } = deps
  const { executionProvider, cudaDevice } = deps.engine
  return {
    consolidations: createConsolidationStore({ database }),
    artifacts: createArtifactStore({ database }),
    learning: createLearningStore({ database }),
    training: createTrainingStore({ database }),
    startTrainer: () => createTrainer({ executionProvider, cudaDevice, logger, program: TRAINING_PROGRAM }),
    openReplayEngine,
    isReviewed: promote === 'review',
    episodes: createEpisodeStore({ database }),
    logger,
    codeVersion: manifest.version,
    ...(deps.evidence !== undefined && { evidence: deps.evidence }),
  }
}

async function noModel(): Promise<never> {
  throw new ServiceError('MODEL_INVALID', 'replay: expected a model in this process, got none')
}
