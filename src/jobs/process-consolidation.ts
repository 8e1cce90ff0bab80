/** @file The processor of the night's queue: runs a consolidation, and ends it as failed when no further attempt is due. */

import { UnrecoverableError } from 'bullmq'
import { Compile } from 'typebox/compile'
import { type ConsolidationDeps, consolidate, finishConsolidation } from '#consolidation'
import { coerceError, ServiceError } from '#errors'
import { JOB_OPTIONS, RUN_CONSOLIDATION, RunConsolidation } from './contracts.ts'
import { type JobProcessor, type QueuedJob, RequeueError } from './job-queue.ts'
import { toJobError } from './retry.ts'

const payload = Compile(RunConsolidation)

/** @param stopping fires when the worker is to stop: the job goes back in line, and goes on elsewhere */
export function createConsolidationProcessor(parts: ConsolidationDeps, stopping: AbortSignal): JobProcessor {
  return async (job) => {
    try {
      await consolidate(parts, consolidationIdOf(job), stopping)
    } catch (thrown) {
      if (stopping.aborted) throw new RequeueError('the worker stops')
      const error = toJobError(thrown)
      const isLast =
        error instanceof UnrecoverableError || job.attemptsMade + 1 >= JOB_OPTIONS.consolidations.attempts
      // Should this fail, too, the job is lost and comes back by maintenance.
      if (isLast && payload.Check(job.data)) {
        const outcome = { status: 'failed', error: failureMessage(thrown) } as const
        await finishConsolidation(parts.consolidations, job.data.consolidationId, outcome)
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

/** What operators read. Messages that are not ours may hold hosts and users: those stay in the log. */
function failureMessage(thrown: unknown): string {
  const error = coerceError(thrown)
  return error instanceof ServiceError
    ? `${error.code}: ${error.message}`
    : 'INTERNAL: see the log of the worker'
}
