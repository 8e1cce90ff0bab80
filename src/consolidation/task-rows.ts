/** @file Sends the rows of a data set to a task of the training process, in messages of a few megabytes. */

import type { OpenTask, TaskRunner } from '#ports'

/** Module that the training process runs; its default export is a `TaskProgram`. */
export const TRAINING_PROGRAM: URL = new URL('./training-program.ts', import.meta.url)

/** Bytes from which on rows are sent; writing such a message stops the event loop for some 5 ms. */
const MESSAGE_BYTES = 2 ** 21

export interface TaskRows extends Pick<OpenTask, 'run' | 'close'> {
  /** Adds a row of about `bytes`; resolves when there is room for the next one. */
  add(row: unknown, bytes: number): Promise<void>
}

/** Creates a sender; the task is opened with its first message, so that a task that is not needed never is. */
export function createTaskRows(runner: TaskRunner, name: string): TaskRows {
  // Rows may be added at once, and all belong to one task.
  let opening: Promise<OpenTask> | null = null
  let rows: unknown[] = []
  let size = 0

  async function flush(): Promise<OpenTask> {
    opening ??= runner.openTask(name)
    const task = await opening
    const batch = rows
    rows = []
    size = 0
    if (batch.length > 0) await task.add(batch)
    return task
  }

  return {
    async add(row, bytes) {
      rows.push(row)
      size += bytes
      if (size >= MESSAGE_BYTES) await flush()
    },
    run: async (options, run) => (await flush()).run(options, run),
    // The error of a task that did not open has already been thrown.
    close: async () => (await opening?.catch(() => null))?.close(),
  }
}

/** Splits bytes into pieces that each fit into a message. */
export function inPieces(bytes: Uint8Array): readonly Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / MESSAGE_BYTES) }, (_, piece) =>
    bytes.subarray(piece * MESSAGE_BYTES, (piece + 1) * MESSAGE_BYTES),
  )
}
