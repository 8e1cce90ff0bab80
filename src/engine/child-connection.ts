/** @file One life of an engine process: forked, ready, answering, gone. */

import { fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { coerceError, type ErrorCode, ServiceError } from '#errors'
import { type EngineCounters, zeroCounters } from './counters.ts'
import {
  type ChildLoad,
  fromWireError,
  type MessageFromChild,
  type MessageToChild,
  type OperationOf,
  type Operations,
  type Ready,
  type RoleName,
  type Roles,
} from './protocol.ts'

const PROGRAM = fileURLToPath(new URL('./child/main.ts', import.meta.url))
const IDLE: ChildLoad = {
  sessions: 0,
  waitingRows: 0,
  runningRows: 0,
  runningSessions: 0,
  cachedSequences: 0,
  cacheBytes: 0,
  keptPrompts: 0,
}

export interface ChildConnection<Role extends RoleName = 'serve'> {
  readonly pid: number
  readonly provider: 'cpu' | 'cuda'
  /** States of a latent thought of its model; 0 where it gives none. */
  readonly thoughtLayers: number
  /** What the process last said it has to do. */
  load(): ChildLoad
  /** What the process last said it has done. */
  totals(): EngineCounters
  /** @throws ServiceError the child's own error, or ENGINE_CRASHED when it dies first. */
  call<Name extends OperationOf<Role>>(
    operation: Name,
    params: Operations[Name]['params'],
  ): Promise<Operations[Name]['result']>
  /** Sends and forgets; nothing happens when the process is gone. */
  post(message: MessageToChild): void
  /** Resolves with the reason when the process has ended, however it came to that. */
  readonly exited: Promise<string>
  /** Waits up to `graceMs` for calls in flight, then ends the process. Idempotent. */
  stop(graceMs: number): Promise<void>
}

/** How long an idle process may take to go. */
const EXIT_MS = 2000

/**
 * Forks an engine process and waits until it can do what its role is for.
 *
 * @throws ServiceError what the child says when it cannot, ENGINE_CRASHED when it dies before that, or ABORTED when `signal` fires
 */
export async function connectChild<Role extends RoleName>(
  role: Role,
  options: Roles[Role]['options'],
  logger: Logger,
  signal: AbortSignal,
): Promise<ChildConnection<Role>> {
  const child = fork(PROGRAM, [role], {
    // The program is TypeScript: it needs the Node that runs this one, and none of its debugging flags. `gc` it calls once, to
    // give back the model's bytes before it loads the weights.
    execPath: process.execPath,
    execArgv: ['--expose-gc'],
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const log = logger.child({ enginePid: child.pid })
  logLines(child.stdout, (line) => log.info(line))
  logLines(child.stderr, (line) => log.warn(line))

  const pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  const idle: (() => void)[] = []
  let calls = 0
  let load = IDLE
  let totals = zeroCounters()
  const started = Promise.withResolvers<Ready>()
  const ended = Promise.withResolvers<string>()

  function settle(
    id: number,
  ): { resolve: (value: never) => void; reject: (error: Error) => void } | undefined {
    const call = pending.get(id)
    pending.delete(id)
    if (pending.size === 0) for (const wake of idle.splice(0)) wake()
    return call
  }

  function receive(message: MessageFromChild): void {
    switch (message.type) {
      case 'ready':
        started.resolve(message)
        break
      case 'failed':
        started.reject(fromWireError(message.error))
        break
      case 'result':
        settle(message.id)?.resolve(message.value as never)
        break
      case 'error':
        settle(message.id)?.reject(fromWireError(message.error))
        break
      case 'load':
        load = message.load
        totals = message.totals
        break
      case 'log':
        log[message.level](message.fields, message.message)
        break
    }
  }

  function end(reason: string): void {
    load = IDLE
    started.reject(crashed('the engine process to start', reason))
    for (const id of [...pending.keys()]) settle(id)?.reject(crashed('the engine process to answer', reason))
    ended.resolve(reason)
  }

  child.on('message', (message) => receive(message as MessageFromChild))
  child.on('error', (error) => end(error.message))
  // Not 'exit': messages that were still in the channel come before 'close'.
  child.on('close', (code, killedBy) => end(killedBy ? `killed by ${killedBy}` : `exit code ${code}`))

  function post(message: MessageToChild): void {
    // What cannot be sent is answered by the exit that follows.
    if (child.connected) child.send(message, () => undefined)
  }

  async function stop(graceMs: number): Promise<void> {
    if (pending.size > 0) await before(graceMs, new Promise<void>((resolve) => idle.push(resolve)))
    // Asked, not disconnected: 'close' does not follow a channel that this side closed.
    post({ type: 'stop' })
    await before(EXIT_MS, ended.promise)
    child.kill('SIGKILL')
    await ended.promise
  }

  const abandon = () => child.kill('SIGKILL')
  signal.addEventListener('abort', abandon)
  post({ type: 'start', options })
  try {
    const { provider, thoughtLayers } = await started.promise
    return {
      pid: child.pid ?? 0,
      provider,
      thoughtLayers,
      load: () => load,
      totals: () => totals,
      exited: ended.promise,
      post,
      stop,
      call: (operation, params) =>
        new Promise((resolve, reject) => {
          if (!child.connected) {
            reject(crashed('an engine process', 'none any more'))
            return
          }
          const id = ++calls
          pending.set(id, { resolve, reject })
          try {
            post({ type: 'call', id, operation, params } as MessageToChild)
          } catch (thrown) {
            // What cannot be cloned, or is too large for one message: it never left, and nobody will answer it.
            settle(id)?.reject(coerceError(thrown))
          }
        }),
    }
  } catch (thrown) {
    child.kill('SIGKILL')
    await ended.promise
    if (signal.aborted) throw new ServiceError('ABORTED', 'engine: closed while starting', { cause: thrown })
    throw thrown
  } finally {
    signal.removeEventListener('abort', abandon)
  }
}

function crashed(expected: string, found: string): ServiceError {
  return new ServiceError('ENGINE_CRASHED' satisfies ErrorCode, `engine: expected ${expected}, got: ${found}`)
}

function logLines(stream: Readable | null, log: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', log)
}

/** Waits for `task`, at most `milliseconds`. */
async function before(milliseconds: number, task: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([
    task,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds)
    }),
  ])
  clearTimeout(timer)
}
