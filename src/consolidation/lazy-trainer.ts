/** @file A training process that only some steps need. */

import type { GraphRunner } from '#ports'

export interface TrainingProcess extends GraphRunner {
  /** The most memory that it has had in use so far. */
  peakMemoryBytes(): Promise<number>
  close(): Promise<void>
}

export interface LazyTrainer extends GraphRunner {
  /** The most memory that it has had in use so far; null when it was never started. */
  peakMemoryBytes(): Promise<number | null>
  close(): Promise<void>
}

/** Starts the process when the first graph is loaded. `close` ends it if it was started. */
export function createLazyTrainer(start: () => Promise<TrainingProcess>): LazyTrainer {
  let started: Promise<TrainingProcess> | null = null
  return {
    async load(model, options) {
      started ??= start()
      return (await started).load(model, options)
    },
    peakMemoryBytes: async () => (started === null ? null : (await started).peakMemoryBytes()),
    async close() {
      // One that did not start has told whoever asked for it.
      await started?.then(
        (process) => process.close(),
        () => {},
      )
    },
  }
}
