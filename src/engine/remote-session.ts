/** @file Client of a session: sends every call to the engine process that holds the session's caches. */

import { coerceError, hasCode, ServiceError } from '#errors'
import type { GenerationRow, LatentSession, Priority, SequenceId, TokenMaps } from '#ports'
import type { ChildConnection } from './child-connection.ts'
import type { OperationOf, Operations, WireRow } from './protocol.ts'
import type { RecurrentThinking } from './recurrent-thinking.ts'

/**
 * Upper bound, in ms, on the wait of a stopped session for its continuations, which come when the run in progress ends.
 * A run aims at 100 ms and takes seconds on an overloaded machine; only a process that hangs takes longer.
 */
const MAX_STOP_WAIT_MS = 6000

/** Id of the prompt: the engine process numbers the sequences of a session, and the prompt is the first. */
const PROMPT: SequenceId = 0

/**
 * Opens a session in an engine process. The session stays on that process: when the process dies, its calls
 * fail with ENGINE_CRASHED, or with ENGINE_CRASHED_BY_REQUEST when a row of the session was in its last run, and
 * a new session is needed.
 */
export function openRemoteSession(deps: {
  readonly id: number
  readonly prompt: readonly number[]
  readonly connection: ChildConnection
  readonly priority: Priority
  readonly caller: string
  readonly deadlineMs: number | null
  readonly stopAfterMs: number | null
  readonly isolated: boolean
  readonly tokenMaps: TokenMaps | null
  /** Null for an ordinary decoder. */
  readonly thinking: RecurrentThinking | null
  readonly signal: AbortSignal
  /** Stops the session. */
  readonly stopSignal: AbortSignal
  /** Throws unless every token is in the model's vocabulary. */
  readonly checkTokens: (what: string, tokens: readonly number[]) => void
  /** Called when the session submits `rows`; the returned function is called when they are answered. */
  readonly onCall: (rows: number) => () => void
  /** Called once, when the session closes. */
  readonly onClose: () => void
}): LatentSession {
  const { id, connection, signal, stopSignal } = deps
  const closed = Promise.withResolvers<never>()
  const stopped = Promise.withResolvers<never>()
  // There may be no call in flight when the session closes or stops.
  closed.promise.catch(() => undefined)
  stopped.promise.catch(() => undefined)
  let isOpen = true
  let continuations = 0
  let stopTimer: NodeJS.Timeout | undefined
  const streams = createStreams((stream) => connection.post({ type: 'endRow', session: id, stream }))

  function close(): void {
    if (!isOpen) return
    isOpen = false
    signal.removeEventListener('abort', close)
    stopSignal.removeEventListener('abort', stop)
    clearTimeout(stopTimer)
    closed.reject(
      new ServiceError(
        'ABORTED',
        `engine: the session was ${signal.aborted ? 'aborted by its caller' : 'closed'}`,
        {
          cause: signal.reason,
        },
      ),
    )
    connection.listen(id, null)
    connection.post({ type: 'close', session: id })
    deps.onClose()
  }

  /** Ends all calls but the continuations in flight, which return what they have when the run in progress ends. */
  function stop(): void {
    if (!isOpen) return
    stopped.reject(
      new ServiceError('ABORTED', 'engine: the session was stopped', { cause: stopSignal.reason }),
    )
    if (continuations === 0) return
    connection.post({ type: 'stopSession', session: id })
    stopTimer = setTimeout(close, MAX_STOP_WAIT_MS)
  }

  /**
   * Sends a call. Rejects with ABORTED as soon as the session closes or, unless it is a continuation in flight,
   * stops; the engine process drops the rows when its run ends.
   */
  async function call<Name extends OperationOf<'serve'>>(
    operation: Name,
    params: Operations[Name]['params'],
    rows: number,
  ): Promise<Operations[Name]['result']> {
    if (!isOpen) return await closed.promise
    if (stopSignal.aborted) return await stopped.promise
    const isContinuation = operation === 'generate'
    const ends = isContinuation ? [closed.promise] : [closed.promise, stopped.promise]
    const done = deps.onCall(rows)
    continuations += Number(isContinuation)
    try {
      return await Promise.race([connection.call(operation, params), ...ends])
    } catch (thrown) {
      if (!hasCode(thrown, 'ENGINE_CRASHED')) throw thrown
      // Its time is up: what it has decoded is lost, and it is not worth another process.
      if (stopSignal.aborted) return await stopped.promise
      if (!connection.isRunning(id)) throw thrown
      const { message } = coerceError(thrown)
      throw new ServiceError('ENGINE_CRASHED_BY_REQUEST', `${message}, in a run of this request`, {
        cause: thrown,
      })
    } finally {
      continuations -= Number(isContinuation)
      done()
    }
  }

  const { prompt, priority, caller, deadlineMs, stopAfterMs, isolated, tokenMaps, thinking } = deps
  const order = { priority, caller, deadlineMs, stopAfterMs, isolated, tokenMaps, thinking }
  connection.post({ type: 'open', session: id, prompt, ...order })
  signal.addEventListener('abort', close)
  stopSignal.addEventListener('abort', stop)
  if (signal.aborted) close()
  if (stopSignal.aborted) stop()
  return {
    promptTokens: prompt.length,
    prompt: PROMPT,
    embed: () => call('embed', { session: id }, 1),
    pool: ({ from, to }) => call('pool', { session: id, from, to }, 1),
    async generate(rows) {
      for (const { prefix } of rows) deps.checkTokens('generate', prefix)
      const { wireRows, numbers, failed } = streams.open(rows)
      if (numbers.length > 0) connection.listen(id, streams.receive)
      try {
        return await Promise.race([call('generate', { session: id, rows: wireRows }, rows.length), failed])
      } finally {
        streams.close(numbers)
      }
    },
    async score(rows, tokens) {
      for (const { suffix } of rows) deps.checkTokens('score', suffix)
      deps.checkTokens('score', tokens)
      return await call('score', { session: id, rows, tokens }, rows.length)
    },
    close,
  }
}

/**
 * Creates the streams of a session: numbers for rows with `onTokens`, and the way from a number back to the function.
 *
 * @param end ends the row of a stream
 */
function createStreams(end: (stream: number) => void) {
  interface Open {
    readonly onTokens: NonNullable<GenerationRow['onTokens']>
    readonly fail: (error: unknown) => void
  }
  const open = new Map<number, Open>()
  let opened = 0
  return {
    /** @returns `failed` rejects with the error of a function that throws */
    open(rows: readonly GenerationRow[]) {
      const failure = Promise.withResolvers<never>()
      failure.promise.catch(() => undefined)
      const numbers: number[] = []
      const wireRows = rows.map(({ onTokens, ...row }): WireRow => {
        if (onTokens === undefined) return row
        const stream = ++opened
        numbers.push(stream)
        open.set(stream, { onTokens, fail: failure.reject })
        return { ...row, stream }
      })
      return { wireRows, numbers, failed: failure.promise }
    },
    receive(stream: number, tokens: readonly number[]): void {
      const row = open.get(stream)
      if (row === undefined) return
      try {
        if (row.onTokens(tokens)) return
      } catch (thrown) {
        row.fail(thrown)
      }
      end(stream)
    },
    close(numbers: readonly number[]): void {
      for (const stream of numbers) open.delete(stream)
    },
  }
}
