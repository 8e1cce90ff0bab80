/**
 * @file What producers and processors agree on: queues, jobs and their payloads. Payloads carry ids, never prompts or
 * answers: a queue keeps them in clear text. New fields are optional, because jobs of the previous release are still
 * queued when the next one starts.
 */

import { Type } from 'typebox'
import type { OutboxKind } from '#episodes'

/** The day's work: small jobs about single episodes. */
export const EPISODE_QUEUE = 'episodes'

/** Outbox kinds are the names of their jobs, so a row needs no translation on its way. */
export const INDEX_EPISODE = 'episode.index' satisfies OutboxKind

export const IndexEpisode = Type.Object({
  tenantId: Type.String({ minLength: 1 }),
  episodeId: Type.String({ minLength: 1 }),
})

/** One job on its way into a queue. */
export interface NewJob {
  /** The outbox row's: a queue that has seen it ignores it. */
  readonly id: string
  readonly name: string
  readonly payload: unknown
}

/** Some ten minutes of retries; what fails even then is handed over again from the outbox. */
export const JOB_OPTIONS = {
  attempts: 10,
  backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
  // Kept for a while, so that a row relayed twice still meets the job of its first time.
  removeOnComplete: { age: 3_600, count: 10_000 },
  removeOnFail: { age: 7 * 24 * 3_600 },
} as const

/** Jobs take milliseconds: a lock that nobody renewed for 10 s belongs to a dead worker. */
export const WORKER_OPTIONS = {
  lockDuration: 10_000,
  stalledInterval: 5_000,
  // Jobs are idempotent: having been in a dying worker's hands is no reason to give one up.
  maxStalledCount: 100,
} as const
