/** @file A process that only some steps need. */

import type { TrainingProcess } from './night.ts'

export interface StartedWhenAsked {
  /** Starts it the first time. */
  get(): Promise<TrainingProcess>
  /** Ends it if it was started. */
  close(): Promise<void>
}

export function startWhenAsked(start: () => Promise<TrainingProcess>): StartedWhenAsked {
  let started: Promise<TrainingProcess> | null = null
  return {
    get() {
      started ??= start()
      return started
    },
    async close() {
      // One that did not start has told whoever asked for it.
      await started?.then(
        (process) => process.close(),
        () => {},
      )
    },
  }
}
