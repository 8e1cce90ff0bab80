/** @file The record of nights: what was asked for, which steps are done, how it ended. */

import { type Database, isUuid, storableText } from '#database'
import { ServiceError } from '#errors'
import { beginConsolidation } from './sql/begin-consolidation.ts'
import { enterStep, finishStep, stepResult } from './sql/consolidation-steps.ts'
import { finishConsolidation, type Outcome } from './sql/finish-consolidation.ts'
import { getConsolidation } from './sql/get-consolidation.ts'
import { listConsolidations } from './sql/list-consolidations.ts'
import { recoverConsolidations } from './sql/recover-consolidations.ts'
import { requestConsolidation } from './sql/request-consolidation.ts'
import type { Consolidation, ConsolidationStore } from './types.ts'

/** The store over Postgres. Any number of processes may use it at once, also for one consolidation. */
export function createConsolidationStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): ConsolidationStore {
  async function find(operation: string, id: string): Promise<Consolidation> {
    const found = isUuid(id) ? await getConsolidation(database, id) : null
    if (found === null) throw notFound(operation, id)
    return found
  }

  return {
    request: (wish) => requestConsolidation(database, wish),

    get: (id) => find('get consolidation', id),

    list: (filter) => listConsolidations(database, filter),

    async begin(id) {
      const begun = isUuid(id) ? await beginConsolidation(database, id) : null
      if (begun === null) throw notFound('begin consolidation', id)
      return begun
    },

    async stepResult(id, step) {
      const result = isUuid(id) ? await stepResult(database, id, step) : null
      if (result === null) await find('step result', id)
      return result
    },

    async enterStep(id, step, progress) {
      const entered = isUuid(id) && (await enterStep(database, id, { step, progress }))
      if (!entered) await find('enter step', id)
    },

    async finishStep(id, step, result) {
      const finished = isUuid(id) && (await finishStep(database, id, { step, result }))
      if (!finished) await find('finish step', id)
    },

    async finish(id, outcome) {
      const whole: Outcome =
        outcome.status === 'failed'
          ? { status: 'failed', artifacts: [], episodes: null, error: storableText(outcome.error) }
          : { ...outcome, error: null }
      const finished = isUuid(id) && (await finishConsolidation(database, id, whole))
      if (!finished) await find('finish consolidation', id)
    },

    recover: (olderThanMs) => recoverConsolidations(database, olderThanMs),
  }
}

function notFound(operation: string, id: string): ServiceError {
  return new ServiceError(
    'CONSOLIDATION_NOT_FOUND',
    `${operation}: expected a consolidation, got none for ${id}`,
  )
}
