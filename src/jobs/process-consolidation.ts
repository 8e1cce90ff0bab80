/** @file The processor of the queue `consolidations`: runs one, marks it `failed` after its last attempt. */

import { UnrecoverableError } from 'bullmq'
import type { Logger } from 'pino'
import { Compile } from 'typebox/compile'
import { type ConsolidationDeps, consolidate, finishConsolidation } from '#consolidation'
import { coerceError, ServiceError } from '#errors'
import { requestIdOf } from './bullmq.ts'
import { JOB_OPTIONS, RUN_CONSOLIDATION, RunConsolidation } from './contracts.ts'
import { type JobProcessor, type QueuedJob, RequeueError } from './job-queue.ts'
import { toJobError } from './retry.ts'

const payload = Compile(RunConsolidation)

/**
 * Creates the processor.
 * @param stopping fires when the worker stops: its job goes back to the queue, for another worker
 * @param logger logger of the worker; its lines about a job have the id of the job and of the request
 */
export function createConsolidationProcessor(
  deps: ConsolidationDeps,
  { stopping, logger }: { readonly stopping: AbortSignal; readonly logger: Logger },
): JobProcessor {
  return async (job) => {
    try {
      const log = logger.child({ jobId: job.id, reqId: requestIdOf(job.data) })
      const consolidation = consolidationIdOf(job)
      log.info({ consolidation, attempt: job.attemptsMade + 1 }, 'consolidation begins')
      await consolidate({ ...deps, logger: log }, consolidation, stopping)
    } catch (thrown) {
      if (stopping.aborted) throw new RequeueError('worker stopping')
      const error = toJobError(thrown)
      const isLast =
        error instanceof UnrecoverableError || job.attemptsMade + 1 >= JOB_OPTIONS.consolidations.attempts
      // If marking it fails as well, the job is lost, and maintenance enqueues it again.
      if (isLast && payload.Check(job.data)) {
        const outcome = { status: 'failed', error: failureMessage(thrown) } as const
        await finishConsolidation(deps.consolidations, job.data.consolidationId, outcome)
      }
      throw error
    }
  }
}

function consolidationIdOf({ id, name, data }: QueuedJob): string {
  if (name === RUN_CONSOLIDATION && payload.Check(data)) return data.consolidationId
  throw new ServiceError(
    'REQUEST_INVALID',
    `run consolidation: expected ${RUN_CONSOLIDATION} with {consolidationId}, got job ${id}, ${name}`,
  )
}

/**
 * Returns the error text to record. Messages of foreign errors are left out: they may hold hosts and users.
 */
function failureMessage(thrown: unknown): string {
  const error = coerceError(thrown)
  return error instanceof ServiceError
    ? `${error.code}: ${error.message}`
    : 'INTERNAL: see the log of the worker'
}
