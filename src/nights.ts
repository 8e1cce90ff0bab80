/** @file What a worker needs for nights, put together the same in both processes. */

import type { Logger } from 'pino'
import { createArtifactStore, createConsolidationStore } from '#artifacts'
import type { Database } from '#database'
import { createTrainer } from '#engine'
import { createTrainingStore } from '#episodes'
import type { NightParts } from '#jobs'
import manifest from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'

export function nightParts(deps: {
  readonly database: Database
  readonly engine: Pick<Config['engine'], 'executionProvider' | 'cudaDevice'>
  readonly logger: Logger
}): NightParts {
  const { database, logger } = deps
  const { executionProvider, cudaDevice } = deps.engine
  return {
    consolidations: createConsolidationStore({ database }),
    artifacts: createArtifactStore({ database }),
    training: createTrainingStore({ database }),
    startTrainer: () => createTrainer({ executionProvider, cudaDevice, logger }),
    codeVersion: manifest.version,
  }
}
