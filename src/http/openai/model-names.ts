/** @file Names of models under `/v1`: strategies of the one model that is served. */

import { ServiceError } from '#errors'
import { STRATEGIES, type Strategy } from '#solving'
import { SOLVE_DEFAULTS } from '../schemas/solve.ts'
import { shorten } from '../shorten.ts'

/** Returns the names in the order in which they are listed, each with its strategy; the id of the model means the default. */
export function modelNames(modelId: string): ReadonlyMap<string, Strategy> {
  return new Map([
    [modelId, SOLVE_DEFAULTS.strategy],
    ...STRATEGIES.map((strategy) => [`circadian/${strategy}`, strategy] as const),
  ])
}

/** @throws ServiceError MODEL_NOT_FOUND with the names that exist */
export function strategyOf(name: string, modelId: string): Strategy {
  const names = modelNames(modelId)
  const strategy = names.get(name)
  if (strategy !== undefined) return strategy
  throw new ServiceError(
    'MODEL_NOT_FOUND',
    `model: expected one of ${[...names.keys()].join(', ')}, got ${shorten(name)}`,
    { faults: [{ pointer: '/model', detail: 'expected the name of a model' }] },
  )
}
