/** @file One engine process in the API process: forks it, sends it calls, returns its answers, ends it. */

import { type ChildProcess, fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { coerceError, type ErrorCode, ServiceError } from '#errors'
import { type EngineCounters, zeroCounters } from './counters.ts'
import { createCpuWait } from './cpu-wait.ts'
import { startHeartbeat } from './heartbeat.ts'
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

/** Receives the tokens that a run has decoded for the row with this `stream`. */
type TokenListener = (stream: number, tokens: readonly number[]) => void

export interface ChildConnection<Role extends RoleName = 'serve'> {
  readonly pid: number
  readonly provider: 'cpu' | 'cuda'
  /** States of a latent thought of its model; 0 when the model gives none. */
  readonly thoughtLayers: number
  /** Returns the load that the process reported last. */
  load(): ChildLoad
  /** Returns the counters that the process reported last. */
  totals(): EngineCounters
  /** Returns the milliseconds since the last message of the process, which answers a ping each second. */
  heartbeatAgeMs(): number
  /** Whether a row of the session is in the run in progress, or was in the run in which the process died. */
  isRunning(session: number): boolean
  /** Whether the process was killed because it did not answer. */
  isHung(): boolean
  /** @throws ServiceError the child's own error, or ENGINE_CRASHED when the child dies before it answers. */
  call<Name extends OperationOf<Role>>(
    operation: Name,
    params: Operations[Name]['params'],
  ): Promise<Operations[Name]['result']>
  /** Calls `listener` with the tokens of a session's rows as they are decoded; null ends that. */
  listen(session: number, listener: TokenListener | null): void
  /** Sends a message that has no answer; does nothing when the process has ended. */
  post(message: MessageToChild): void
  /** Resolves with the reason when the process has ended for any reason. */
  readonly exited: Promise<string>
  /** Waits up to `graceMs` for calls in flight, then ends the process. Idempotent. */
  stop(graceMs: number): Promise<void>
}

/** Time that an idle process has to exit before it is killed. */
const EXIT_TIMEOUT_MS = 2000
/** Time that a process has to load its model. */
const START_TIMEOUT_MS = 600_000

export interface ConnectOptions {
  readonly logger: Logger
  /** Ends a process that is starting. */
  readonly signal: AbortSignal
  /**
   * Silence, in ms, after which a process that announced no long run counts as hung: it is killed, and its
   * calls fail with ENGINE_CRASHED. The time for which it waits for a CPU does not count.
   */
  readonly heartbeatLimitMs: number
  /** Called with the progress of a task of the process. */
  readonly onProgress?: (task: number, share: number) => void
}

/** Engine processes that run. The operating system does not end them with this process. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Forks an engine process and waits until it is ready for its role.
 *
 * @throws ServiceError the child's error when it cannot start, ENGINE_CRASHED when it dies before it is
 * ready, or ABORTED when `signal` fires
 */
export async function connectChild<Role extends RoleName>(
  role: Role,
  options: Roles[Role]['options'],
  { logger, signal, heartbeatLimitMs, onProgress }: ConnectOptions,
): Promise<ChildConnection<Role>> {
  const { child, log } = forkChild(role, logger)
  const post = (message: MessageToChild) => send(child, message)
  const calls = createCallTable()
  const waitedMs = createCpuWait(child.pid ?? 0)
  const listeners = new Map<number, TokenListener>()
  const beat = (limitMs: number) =>
    startHeartbeat({ limitMs, ping: () => post({ type: 'ping' }), onSilence: endHung, waitedMs })
  let heartbeat = beat(START_TIMEOUT_MS)
  const ending = { isOver: false, isHung: false }
  let load = IDLE
  let totals = zeroCounters()
  let sessionsInRun: readonly number[] = []
  const started = Promise.withResolvers<Ready>()
  const ended = Promise.withResolvers<string>()

  function receive(message: MessageFromChild): void {
    heartbeat.heard()
    switch (message.type) {
      case 'ready':
        heartbeat.stop()
        heartbeat = beat(heartbeatLimitMs)
        started.resolve(message)
        break
      case 'failed':
        started.reject(fromWireError(message.error))
        break
      case 'running':
        sessionsInRun = message.sessions
        break
      case 'busy':
        heartbeat.expectRun(message.expectedMs)
        break
      case 'result':
      case 'error':
        calls.answer(message)
        break
      case 'tokens':
        listeners.get(message.session)?.(message.stream, message.tokens)
        break
      case 'progress':
        onProgress?.(message.task, message.share)
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
    ending.isOver = true
    heartbeat.stop()
    load = IDLE
    started.reject(crashed('the engine process to start', reason))
    for (const { reject } of calls.settleAll()) reject(crashed('the engine process to answer', reason))
    ended.resolve(reason)
  }

  /** Ends the connection at once: a process that is stuck in a driver may take long to die. */
  function endHung({ silentMs, limitMs }: { readonly silentMs: number; readonly limitMs: number }): void {
    ending.isHung = true
    child.kill('SIGKILL')
    end(`no answer for ${Math.round(silentMs)} ms, with a limit of ${Math.round(limitMs)} ms; killed`)
  }

  child.on('message', (message) => receive(message as MessageFromChild))
  child.on('error', (error) => end(error.message))
  // Not 'exit': messages still in the channel arrive before 'close'.
  child.on('close', (code, killedBy) => end(killedBy ? `killed by ${killedBy}` : `exit code ${code}`))

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
      heartbeatAgeMs: () => heartbeat.ageMs(),
      isRunning: (session) => sessionsInRun.includes(session),
      isHung: () => ending.isHung,
      exited: ended.promise,
      listen(session, listener) {
        if (listener === null) listeners.delete(session)
        else listeners.set(session, listener)
      },
      post,
      async stop(graceMs) {
        if (calls.isOpen()) await before(graceMs, calls.whenSettled())
        await endProcess(child, ended.promise)
      },
      async call(operation, params) {
        if (ending.isOver || !child.connected) throw crashed('a running engine process', 'one that has ended')
        return await calls.open((id) => post({ type: 'call', id, operation, params } as MessageToChild))
      },
    }
  } catch (thrown) {
    child.kill('SIGKILL')
    await ended.promise
    if (!signal.aborted) throw thrown
    const cause = thrown
    throw new ServiceError('ABORTED', 'engine: the engine was closed while it was starting', { cause })
  } finally {
    signal.removeEventListener('abort', abandon)
  }
}

/** Sends a message; does nothing when the process has ended, because its calls are rejected then. */
function send(child: ChildProcess, message: MessageToChild): void {
  if (child.connected) child.send(message, () => undefined)
}

/**
 * Ends an idle process. It is asked to stop rather than disconnected: 'close' does not follow a channel that
 * this side closed.
 */
async function endProcess(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  send(child, { type: 'stop' })
  await before(EXIT_TIMEOUT_MS, ended)
  child.kill('SIGKILL')
  await ended
}

/** Forks the program and logs its output. */
function forkChild(role: RoleName, logger: Logger): { child: ChildProcess; log: Logger } {
  const child = fork(PROGRAM, [role], {
    // The program is TypeScript: it needs the Node version of this process, and none of its debugging flags.
    // The child calls `gc` to free the bytes of the model file before it loads the weights, and large caches.
    execPath: process.execPath,
    execArgv: ['--expose-gc'],
    // Runs take turns on the threads of libuv. With an arena of glibc's for each, what one run frees is not used by
    // the next: the peak of four rows of 4,096 positions is 6.8 times their caches instead of 4.1.
    // Weights and caches in huge pages, where the kernel gives them to a program that asks (the setting `madvise`): a
    // step of one row of an int4 model of half a billion weights takes 8 % less time, and no more memory.
    env: { MALLOC_ARENA_MAX: '1', GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1', ...process.env },
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  running.add(child)
  child.on('close', () => running.delete(child))
  const log = logger.child({ enginePid: child.pid })
  logLines(child.stdout, (line) => log.info(line))
  logLines(child.stderr, (line) => log.warn(line))
  return { child, log }
}

interface OpenCall {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/** Creates a table of the calls that the process has not answered yet. */
function createCallTable() {
  const calls = new Map<number, OpenCall>()
  const waiters: (() => void)[] = []
  let opened = 0

  /** Removes a call; undefined when it was settled before. */
  function settle(id: number): OpenCall | undefined {
    const call = calls.get(id)
    calls.delete(id)
    if (calls.size === 0) for (const wake of waiters.splice(0)) wake()
    return call
  }

  return {
    /** Opens a call and sends it. */
    open(send: (id: number) => void): Promise<never> {
      const { promise, resolve, reject } = Promise.withResolvers<never>()
      const id = ++opened
      calls.set(id, { resolve, reject })
      try {
        send(id)
      } catch (thrown) {
        // The parameters cannot be cloned or are too large for one message: nothing was sent, so no answer will
        // come.
        settle(id)?.reject(coerceError(thrown))
      }
      return promise
    },
    /** Settles the call that the message answers. */
    answer(message: Extract<MessageFromChild, { readonly type: 'result' | 'error' }>): void {
      const call = settle(message.id)
      if (message.type === 'result') call?.resolve(message.value as never)
      else call?.reject(fromWireError(message.error))
    },
    settleAll: (): OpenCall[] => [...calls.keys()].flatMap((id) => settle(id) ?? []),
    isOpen: () => calls.size > 0,
    /** Resolves when the last open call is settled. */
    whenSettled: () => new Promise<void>((resolve) => waiters.push(resolve)),
  }
}

function crashed(expected: string, found: string): ServiceError {
  return new ServiceError('ENGINE_CRASHED' satisfies ErrorCode, `engine: expected ${expected}, got: ${found}`)
}

function logLines(stream: Readable | null, log: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', log)
}

/** Waits for `task` for at most `milliseconds`. */
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
