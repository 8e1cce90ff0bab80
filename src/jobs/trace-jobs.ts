/** @file Records a span for each attempt at a job, in the trace of the request that caused the job. */

import { jobAttributes, type Tracer } from '#tracing'
import type { JobProcessor, QueuedJob } from './job-queue.ts'

/** Wraps a processor; the wrapper returns and throws the same. */
export function traceJobs(process: JobProcessor, tracer: Tracer): JobProcessor {
  return (job) => {
    const { id, name, attemptsMade } = job
    return tracer.trace(
      `job ${name}`,
      jobAttributes({ id, name, attempt: attemptsMade + 1 }),
      () => process(job),
      { kind: 'consumer', traceparent: traceparentOf(job) },
    )
  }
}

function traceparentOf({ data }: QueuedJob): string | undefined {
  if (typeof data !== 'object' || data === null || !('traceparent' in data)) return undefined
  return typeof data.traceparent === 'string' ? data.traceparent : undefined
}
