/**
 * @file Tasks of a training process: whole trainings, which run where their numbers are. Only rows, options,
 * progress and results cross the border of the process.
 */

import type { GraphRunner } from './graph-runner.ts'

/** Result of a task. */
export interface TaskResult {
  /** Values that messages can carry; small. */
  readonly value: unknown
  /** A model that the task has made. */
  readonly bytes?: Uint8Array
}

export interface TaskRun {
  readonly options: unknown
  /** Runs graphs in this process. */
  readonly runner: GraphRunner
  /** Fires when the caller closes the task. */
  readonly signal: AbortSignal
  /** Reports the share of the work that is done, in [0, 1]. */
  readonly report: (share: number) => void
}

/** Process side of a task. */
export interface Task {
  /** Takes rows of the data set, in order. */
  add(rows: readonly unknown[]): void
  /** Called once, after all rows. */
  run(run: TaskRun): Promise<TaskResult>
}

/** Tasks that a training process can run, by name: the default export of its program. */
export type TaskProgram = Readonly<Record<string, () => Task>>

/** Caller's side of a task. Every method throws ServiceError ENGINE_CRASHED, ENGINE_UNAVAILABLE. */
export interface OpenTask {
  /**
   * Sends rows, and resolves when the process has taken them. Numbers should come as bytes, and a call should
   * hold a few megabytes at most: a message stops the event loop while it is written.
   */
  add(rows: readonly unknown[]): Promise<void>
  /**
   * Runs the task on the rows that were sent.
   *
   * @throws ServiceError errors of the task; ABORTED when the signal fires
   */
  run(
    options: unknown,
    run: { readonly signal: AbortSignal; readonly onProgress?: (share: number) => void },
  ): Promise<TaskResult>
  /** Stops the task if it runs, and frees its rows. Idempotent. */
  close(): Promise<void>
}

/** Opens tasks in a training process. */
export interface TaskRunner {
  /** @throws ServiceError INTERNAL when the process has no such task; ENGINE_CRASHED, ENGINE_UNAVAILABLE */
  openTask(name: string): Promise<OpenTask>
}
