/**
 * @file The contracts between producers and processors: queues, jobs, payloads and options. Payloads carry
 * ids, never prompts or answers, because a queue stores them in clear text. New fields are optional, because
 * jobs of the previous release are still queued when the next release starts.
 */

import { Type } from 'typebox'
import type { OutboxKind } from '#episodes'

/** Job names equal the outbox kinds, so that the relay need not translate them. */
export const INDEX_EPISODE = 'episode.index' satisfies OutboxKind
export const RUN_CONSOLIDATION = 'consolidation.run' satisfies OutboxKind
export const RUN_SOLUTION = 'solution.run' satisfies OutboxKind
export const CALL_WEBHOOK = 'solution.webhook' satisfies OutboxKind

/**
 * Job that the schedule enqueues, not the outbox. No payload. Queues store the name, so it must not change.
 */
export const CONSOLIDATION_DUE = 'night.due'

/** Trace that the job continues, as a `traceparent` of W3C Trace Context. */
const traceparent = Type.Optional(Type.String())
/** Id of the HTTP request that caused the job; absent when none did. */
const RequestId = Type.Optional(Type.String())

export const IndexEpisode = Type.Object({
  tenantId: Type.String({ minLength: 1 }),
  episodeId: Type.String({ minLength: 1 }),
  traceparent,
  requestId: RequestId,
})

export const RunConsolidation = Type.Object({
  consolidationId: Type.String({ minLength: 1 }),
  traceparent,
  requestId: RequestId,
})

export const RunSolution = Type.Object({
  tenantId: Type.String({ minLength: 1 }),
  solutionId: Type.String({ minLength: 1 }),
  traceparent,
  requestId: RequestId,
})

/** `episodes`: small jobs, each about one episode. `consolidations`: one long job at a time. `solutions`:
 * questions that API processes answer. */
export type QueueName = 'episodes' | 'consolidations' | 'solutions'

export const QUEUE_OF = {
  [INDEX_EPISODE]: 'episodes',
  [RUN_CONSOLIDATION]: 'consolidations',
  [RUN_SOLUTION]: 'solutions',
  [CALL_WEBHOOK]: 'solutions',
} as const satisfies Record<OutboxKind, QueueName>

/** A job to add to a queue. */
export interface NewJob {
  /** Id of the outbox row; a queue ignores a job whose id it has already. */
  readonly id: string
  readonly name: string
  readonly payload: unknown
  /** Jobs of lower turns run first, after those without one. */
  readonly turn?: number
}

/** Highest turn of a job: the limit of BullMQ's priorities. */
export const MAX_TURN = 2 ** 21 - 1

/** Retries of a queue's jobs, and how long the queue keeps jobs that have ended. */
export const JOB_OPTIONS = {
  /** About ten minutes of retries; a job that still fails is enqueued again from the outbox. */
  episodes: {
    attempts: 10,
    backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
    // Kept for an hour, so that a row that is relayed twice finds its first job and is ignored.
    removeOnComplete: { age: 3_600, count: 10_000 },
    removeOnFail: { age: 7 * 24 * 3_600 },
  },
  /** After three failures in a row the consolidation is marked `failed`, with its error. */
  consolidations: {
    attempts: 3,
    backoff: { type: 'exponential', delay: 5_000, jitter: 0.5 },
    // The state is in the database: a consolidation that has ended is not run again. Maintenance enqueues a
    // lost job under its old id, which must be free.
    removeOnComplete: true,
    removeOnFail: true,
  },
  /** About half a minute of retries; then the caller reads the error. The state is in the database, too. */
  solutions: {
    attempts: 6,
    backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
    removeOnComplete: true,
    removeOnFail: true,
  },
} as const satisfies Record<QueueName, object>

/** Times after which the worker of a job is presumed dead. */
const WORKER_OPTIONS = {
  /** Jobs take milliseconds: a worker that has not renewed its lock for 10 s is dead. */
  episodes: { lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 100 },
  /**
   * Jobs take minutes, but the arithmetic is done in another process, so the lock is renewed every 7.5 s.
   * Another worker takes over the job of a dead worker after 15 to 20 s.
   */
  consolidations: { lockDuration: 15_000, stalledInterval: 5_000, maxStalledCount: 100 },
  /** The engine works in another process, so the lock is renewed: another API takes over after 10 to 15 s. */
  solutions: { lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 100 },
  // `maxStalledCount` is high because jobs are idempotent, and a job is not to blame for its worker's death.
  // A consolidation counts its own attempts.
} as const satisfies Record<QueueName, object>

/**
 * Returns the lock options of a queue's worker. `lockMs`: milliseconds without a lock renewal after which a
 * worker is presumed dead, in place of the queue's own.
 */
export function workerOptions(name: QueueName, lockMs: number | undefined) {
  const options = WORKER_OPTIONS[name]
  return lockMs === undefined
    ? options
    : { ...options, lockDuration: lockMs, stalledInterval: Math.ceil(lockMs / 3) }
}
