/**
 * @file A process for training, separate from the serving processes and at a lower priority: runs graphs, and
 * the tasks of a program.
 */

import type { Logger } from 'pino'
import { ServiceError } from '#errors'
import type { GraphRunner, TaskRunner } from '#ports'
import { connectChild } from './child-connection.ts'
import { openRemoteGraph } from './remote-graph.ts'
import { openRemoteTask } from './remote-task.ts'

export interface TrainerOptions {
  /** `auto` takes CUDA where it works, else the CPU, and logs the reason. */
  readonly executionProvider: 'auto' | 'cpu' | 'cuda'
  readonly cudaDevice: number
  readonly logger: Logger
  /** Threads inside one operator; one per core by default. */
  readonly threads?: number
  /** Module whose default export is the `TaskProgram` of the process; without it, there are no tasks. */
  readonly program?: URL
}

export interface Trainer extends GraphRunner, TaskRunner {
  status(): {
    readonly state: 'ready' | 'crashed' | 'closed'
    readonly provider: 'cpu' | 'cuda'
    /** Null once the process has ended. */
    readonly pid: number | null
  }
  /** Returns the peak memory of the process so far, in bytes. @throws ServiceError ENGINE_CRASHED */
  peakMemoryBytes(): Promise<number>
  /** Waits briefly for runs in flight, then ends the process. Idempotent. */
  close(): Promise<void>
}

/** Time that runs in flight have to finish when the trainer is closed. */
const DRAIN_TIMEOUT_MS = 5000
/** Upper bound on one run at the lowest priority, beside all other work of the machine. */
const HEARTBEAT_LIMIT_MS = 120_000

/**
 * Starts a process that runs graphs, with `state` and `carry`, at the lowest priority of the operating
 * system.
 *
 * The process is not restarted, because carried state would be lost. When it dies or hangs, calls in flight
 * and all later calls fail with ENGINE_CRASHED; the caller must resume in another trainer from the state that
 * it read last. After `close`, calls fail with ENGINE_UNAVAILABLE.
 *
 * @throws ServiceError PROVIDER_UNAVAILABLE, ENGINE_CRASHED
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const { executionProvider, cudaDevice, logger, threads = null, program } = options
  const listeners = new Map<number, (share: number) => void>()
  const connection = await connectChild(
    'train',
    { executionProvider, cudaDevice, threads, program: program?.href ?? null },
    {
      logger,
      signal: new AbortController().signal,
      heartbeatLimitMs: HEARTBEAT_LIMIT_MS,
      onProgress: (task, share) => listeners.get(task)?.(share),
    },
  )
  let state: 'ready' | 'crashed' | 'closed' = 'ready'
  let hasEnded = false
  let graphsLoaded = 0
  let tasksOpened = 0
  let closing: Promise<void> | null = null
  void connection.exited.then((reason) => {
    hasEnded = true
    if (state === 'closed') return
    state = 'crashed'
    logger.error({ enginePid: connection.pid, reason }, 'training process died')
  })

  const use = async <Result>(task: (process: typeof connection) => Promise<Result>): Promise<Result> => {
    if (state !== 'closed') return await task(connection)
    throw new ServiceError('ENGINE_UNAVAILABLE', 'trainer: expected an open trainer, got a closed one')
  }

  return {
    status: () => ({ state, provider: connection.provider, pid: hasEnded ? null : connection.pid }),
    async load(model, { state: initial = {}, carry = {} } = {}) {
      const id = ++graphsLoaded
      await use((process) => process.call('loadGraph', { graph: id, model, state: initial, carry }))
      return openRemoteGraph({ id, use, holders: () => (hasEnded ? [] : [connection]) })
    },
    async openTask(name) {
      const id = ++tasksOpened
      await use((process) => process.call('openTask', { task: id, name }))
      return openRemoteTask({
        id,
        process: { call: (operation, params) => use((process) => process.call(operation, params)) },
        onProgress(listen) {
          listeners.set(id, listen)
          return () => listeners.delete(id)
        },
      })
    },
    peakMemoryBytes: () => use((process) => process.call('peakMemory', undefined)),
    async close() {
      if (!hasEnded) state = 'closed'
      closing ??= connection.stop(DRAIN_TIMEOUT_MS)
      await closing
    },
  }
}
