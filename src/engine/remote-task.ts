/** @file Client of a task in a training process. */

import { ServiceError } from '#errors'
import type { OpenTask } from '#ports'
import type { Operations, TaskOperationName } from './protocol.ts'

/** Upper bound on the bytes of a result in one message: receiving 4 MiB takes some 8 ms. */
const MAX_MESSAGE_BYTES = 4 * 2 ** 20

interface TaskProcess {
  call<Name extends TaskOperationName>(
    operation: Name,
    params: Operations[Name]['params'],
  ): Promise<Operations[Name]['result']>
}

/** Creates the client. @param deps.id number of the task in the process */
export function openRemoteTask(deps: {
  readonly id: number
  readonly process: TaskProcess
  /** Calls `listen` with the progress of the task, until the returned function is called. */
  readonly onProgress: (listen: (share: number) => void) => () => void
}): OpenTask {
  const { id, process } = deps
  let closed: Promise<unknown> | null = null

  async function close(): Promise<void> {
    // A process that has ended has freed its tasks.
    closed ??= process.call('closeTask', { task: id }).catch(() => {})
    await closed
  }

  async function readResult(byteLength: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(byteLength)
    for (let from = 0; from < byteLength; from += MAX_MESSAGE_BYTES) {
      bytes.set(await process.call('readResult', { task: id, from, length: MAX_MESSAGE_BYTES }), from)
    }
    return bytes
  }

  return {
    async add(rows) {
      await process.call('addRows', { task: id, rows })
    },
    async run(options, { signal, onProgress = () => {} }) {
      const { promise: aborted, reject } = Promise.withResolvers<never>()
      const abort = () => {
        const cause = signal.reason
        reject(new ServiceError('ABORTED', 'task: expected to run to the end, got a stop signal', { cause }))
        void close()
      }
      signal.addEventListener('abort', abort)
      const unlisten = deps.onProgress(onProgress)
      try {
        if (signal.aborted) abort()
        const running = process.call('runTask', { task: id, options })
        running.catch(() => {})
        const { value, byteLength } = await Promise.race([running, aborted])
        return { value, ...(byteLength !== null && { bytes: await readResult(byteLength) }) }
      } finally {
        unlisten()
        signal.removeEventListener('abort', abort)
      }
    },
    close,
  }
}
