/** @file The consolidation store: the request, the finished steps and the outcome of every consolidation. */

import { type Database, isUuid, storableText } from '#database'
import { ServiceError } from '#errors'
import type { Consolidation } from './consolidation.ts'
import type { NightReport } from './consolidation-report.ts'
import { beginConsolidation } from './sql/begin-consolidation.ts'
import { coverageOf, noteCoverage } from './sql/consolidation-coverage.ts'
import { enterStep, finishStep, stepResult } from './sql/consolidation-steps.ts'
import { finishConsolidation, type Outcome } from './sql/finish-consolidation.ts'
import { getConsolidation } from './sql/get-consolidation.ts'
import { listConsolidations } from './sql/list-consolidations.ts'
import { listSteps } from './sql/list-steps.ts'
import { recoverConsolidations } from './sql/recover-consolidations.ts'
import { requestConsolidation } from './sql/request-consolidation.ts'
import type { ConsolidationStore } from './stores.ts'

/** Name of the step whose result is the report. */
const REPORT = 'report'

/**
 * Creates the store over Postgres. Any number of processes may use it at once, also for one consolidation.
 */
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

  async function resultOf(id: string, step: string): Promise<unknown> {
    const result = isUuid(id) ? await stepResult(database, id, step) : null
    if (result === null) await find('step result', id)
    return result
  }

  return {
    request: (request) => requestConsolidation(database, request),

    get: (id) => find('get consolidation', id),

    list: (filter) => listConsolidations(database, filter),

    async begin(id) {
      const begun = isUuid(id) ? await beginConsolidation(database, id) : null
      if (begun === null) throw notFound('begin consolidation', id)
      return begun
    },

    stepResult: resultOf,

    async noteCoverage(id, coverage) {
      const noted = isUuid(id) && (await noteCoverage(database, id, coverage))
      if (!noted) await find('note coverage', id)
    },

    async coverage(id) {
      const coverage = isUuid(id) ? await coverageOf(database, id) : null
      if (coverage === null) await find('read coverage', id)
      return coverage
    },

    async steps(id) {
      const steps = isUuid(id) ? await listSteps(database, id) : []
      if (steps.length === 0) await find('list steps', id)
      return steps
    },

    async report(id) {
      const report = await resultOf(id, REPORT)
      if (report !== null) return report as NightReport
      throw new ServiceError(
        'REPORT_NOT_FOUND',
        `report: expected a consolidation that has ended, got ${id}, which has no report yet`,
      )
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
      const stored: Outcome =
        outcome.status === 'failed'
          ? { status: 'failed', artifacts: [], episodes: null, error: storableText(outcome.error) }
          : { ...outcome, error: null }
      const finished = isUuid(id) && (await finishConsolidation(database, id, stored))
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
