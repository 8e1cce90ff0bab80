/** @file A training process that only some steps need. */

import type { TrainingProcess } from './night.ts'

/** Starts the process when the first graph is loaded. `close` ends it if it was started. */
export function startWhenAsked(start: () => Promise<TrainingProcess>): TrainingProcess {
  let started: Promise<TrainingProcess> | null = null
  return {
    async load(model, options) {
      started ??= start()
      return (await started).load(model, options)
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
