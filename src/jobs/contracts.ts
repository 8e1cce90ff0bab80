/**
 * @file What producers and processors agree on: queues, jobs and their payloads. Payloads carry ids, never prompts or
 * answers: a queue keeps them in clear text. New fields are optional, because jobs of the previous release are still
 * queued when the next one starts.
 */

import { Type } from 'typebox'
import type { OutboxKind } from '#episodes'

/** Outbox kinds are the names of their jobs, so a row needs no translation on its way. */
export const INDEX_EPISODE = 'episode.index' satisfies OutboxKind
export const RUN_CONSOLIDATION = 'consolidation.run' satisfies OutboxKind

/** Of the schedule: not from the outbox, and about nothing in particular. */
export const CONSOLIDATION_DUE = 'night.due'

export const IndexEpisode = Type.Object({
  tenantId: Type.String({ minLength: 1 }),
  episodeId: Type.String({ minLength: 1 }),
})

export const RunConsolidation = Type.Object({
  consolidationId: Type.String({ minLength: 1 }),
})

/** The day's work is small jobs about single episodes; the night's is one long job at a time. */
export type QueueName = 'episodes' | 'consolidations'

export const QUEUE_OF = {
  [INDEX_EPISODE]: 'episodes',
  [RUN_CONSOLIDATION]: 'consolidations',
} as const satisfies Record<OutboxKind, QueueName>

/** One job on its way into a queue. */
export interface NewJob {
  /** The outbox row's: a queue that has seen it ignores it. */
  readonly id: string
  readonly name: string
  readonly payload: unknown
}

/** How jobs of a queue are tried again, and how long they are kept when they are over. */
export const JOB_OPTIONS = {
  /** Some ten minutes of retries; what fails even then is handed over again from the outbox. */
  episodes: {
    attempts: 10,
    backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
    // Kept for a while, so that a row relayed twice still meets the job of its first time.
    removeOnComplete: { age: 3_600, count: 10_000 },
    removeOnFail: { age: 7 * 24 * 3_600 },
  },
  /** What fails three times in a row fails: its consolidation says why. */
  consolidations: {
    attempts: 3,
    backoff: { type: 'exponential', delay: 5_000, jitter: 0.5 },
    // Their state is in the database: one that is over is over whoever asks again, and one that was lost must find its id free.
    removeOnComplete: true,
    removeOnFail: true,
  },
} as const satisfies Record<QueueName, object>

/** When a job is taken to be in the hands of a dead worker. */
const WORKER_OPTIONS = {
  /** Jobs take milliseconds: a lock that nobody renewed for 10 s belongs to a dead worker. */
  episodes: { lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 100 },
  /**
   * Jobs take minutes, but their arithmetic is done in another process: the lock is renewed every 7.5 s all the while, and
   * what one dead worker began is another's 15 to 20 s later.
   */
  consolidations: { lockDuration: 15_000, stalledInterval: 5_000, maxStalledCount: 100 },
  // Jobs are idempotent: having been in a dying worker's hands is no reason to give one up. A consolidation counts for
  // itself how often it was begun.
} as const satisfies Record<QueueName, object>

/** How a queue's worker holds its jobs. `lockMs`: the time, instead of the queue's own, after which a silent worker is dead. */
export function workerOptions(name: QueueName, lockMs: number | undefined) {
  const options = WORKER_OPTIONS[name]
  return lockMs === undefined
    ? options
    : { ...options, lockDuration: lockMs, stalledInterval: Math.ceil(lockMs / 3) }
}
