/** @file A deletion: the record of the erasure of all episodes of a tenant, which a worker does in bites. */

export interface Deletion {
  readonly id: string
  readonly status: 'queued' | 'running' | 'finished'
  readonly requestedAt: string
  /** Time of the first bite; null before. */
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** Number of rows that are gone so far. */
  readonly deleted: {
    readonly episodes: number
    readonly candidates: number
    /** Latent thoughts of candidates. */
    readonly thoughts: number
    /** Episodes whose latents are gone. */
    readonly latents: number
    /** Jobs that labelled, or were to label, deleted episodes. */
    readonly jobs: number
  }
  /**
   * Number of episodes that were stored after the request, that deleted ones had led, and that no caller has
   * confirmed. They steer no longer.
   */
  readonly withdrawn: number
  /** Ids of the artifacts that were trained on deleted episodes, and so are stale. */
  readonly artifacts: readonly string[]
}
