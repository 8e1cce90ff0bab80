/** @file The processor of the queue `solutions`: answers a question in the background. */

import { setTimeout as delay } from 'node:timers/promises'
import { UnrecoverableError } from 'bullmq'
import { Compile } from 'typebox/compile'
import { asTenant } from '#database'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import { CALL_WEBHOOK, JOB_OPTIONS, RUN_SOLUTION, RunSolution } from './contracts.ts'
import { type JobProcessor, type QueuedJob, RequeueError } from './job-queue.ts'
import { toJobError } from './retry.ts'
import type { SolutionRecord, SolutionStore } from './solution-store.ts'

/** Interval, in ms, at which a running question is looked at, so that it ends soon after it was cancelled. */
const LOOK_MS = 500

const payload = Compile(RunSolution)

export interface SolutionParts {
  readonly store: Pick<SolutionStore, 'begin' | 'keep' | 'finish' | 'webhook'>
  readonly episodes: Pick<EpisodeStore, 'remove'>
  /** Answers a question. @param id id that the solution and its episode must have */
  readonly solve: (
    request: unknown,
    job: { readonly id: string; readonly requestId: string | undefined; readonly signal: AbortSignal },
  ) => Promise<unknown>
  /** Returns what the caller reads of a failure. */
  readonly problemOf: (error: unknown, id: string) => unknown
  /** Sends an outcome to the address of its caller. */
  readonly callWebhook: (url: string, record: SolutionRecord) => Promise<void>
}

/** @param stopping fires when the process stops: its job goes back to the queue, for another process */
export function createSolutionProcessor(parts: SolutionParts, stopping: AbortSignal): JobProcessor {
  const answer = createAnswering(parts, stopping)
  return async (job) => {
    if (job.name !== CALL_WEBHOOK) return asTenant(solutionOf(job).tenantId, () => answer(job))
    const { tenantId, solutionId } = solutionOf(job)
    const found = await parts.store.webhook(tenantId, solutionId)
    if (found !== null) await parts.callWebhook(found.url, found.record)
  }
}

function createAnswering(
  { store, episodes, solve, problemOf }: SolutionParts,
  stopping: AbortSignal,
): JobProcessor {
  return async (job) => {
    const { tenantId, solutionId: id, requestId } = solutionOf(job)
    const cancelled = new AbortController()
    let looking: NodeJS.Timeout | undefined
    try {
      const begun = await store.begin(tenantId, id)
      if (begun === null) return
      looking = setInterval(() => {
        store.keep(tenantId, id).then(
          (isWanted) => isWanted || cancelled.abort(),
          () => {},
        )
      }, LOOK_MS)
      // Left by a process that died before it could store the answer.
      if (begun.isRetry) await forget(episodes, tenantId, id)
      const signal = AbortSignal.any([cancelled.signal, stopping])
      const solution = await onceAdmitted(signal, () => solve(begun.request, { id, requestId, signal }))
      await store.finish(tenantId, id, 'succeeded', solution)
    } catch (thrown) {
      if (cancelled.signal.aborted) return
      if (stopping.aborted) throw new RequeueError('process stopping')
      const error = toJobError(thrown)
      const isLast =
        error instanceof UnrecoverableError || job.attemptsMade + 1 >= JOB_OPTIONS.solutions.attempts
      if (isLast) await store.finish(tenantId, id, 'failed', problemOf(thrown, id))
      throw error
    } finally {
      clearInterval(looking)
    }
  }
}

/**
 * Solves as soon as the engine admits the question: no client waits at a connection, so it does not fail because the
 * questions of its tenant are many. It keeps its place among those that this process answers.
 */
async function onceAdmitted<Answer>(signal: AbortSignal, solve: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await solve()
    } catch (thrown) {
      if (!(thrown instanceof ServiceError) || thrown.code !== 'ENGINE_OVERLOADED' || signal.aborted)
        throw thrown
      const pauseMs = 1_000 * (thrown.retryAfterSeconds ?? 1)
      await delay(pauseMs, undefined, { signal }).catch(() => {})
    }
  }
}

function solutionOf({ id, name, data }: QueuedJob) {
  if ((name === RUN_SOLUTION || name === CALL_WEBHOOK) && payload.Check(data)) return data
  throw toJobError(
    new ServiceError(
      'REQUEST_INVALID',
      `run solution: expected ${RUN_SOLUTION} with {tenantId, solutionId}, got job ${id}, ${name}`,
    ),
  )
}

async function forget(episodes: Pick<EpisodeStore, 'remove'>, tenantId: string, id: string): Promise<void> {
  try {
    await episodes.remove(tenantId, id)
  } catch (thrown) {
    if (!hasCode(thrown, 'EPISODE_NOT_FOUND')) throw thrown
  }
}
