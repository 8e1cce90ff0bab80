/** @file Opens a part of the queue in the background, again and again until it succeeds. */

import { setTimeout as delay } from 'node:timers/promises'
import { coerceError } from '#errors'

const FIRST_PAUSE_MS = 1_000
const MAX_PAUSE_MS = 30_000

export interface Opening<Part> {
  /** The open part; null while it is not open. */
  current(): Part | null
  /** Returns the open part. Waits for the first attempt, and throws the error of the last one. */
  get(): Promise<Part>
  /** Stops trying, or closes the open part. Does not wait for an attempt that hangs. Idempotent. */
  close(): Promise<void>
}

export interface OpeningOptions<Part> {
  /** One attempt. Leaves nothing open when it throws; throws soon after `stopping` fires. */
  readonly open: (stopping: AbortSignal) => Promise<Part>
  readonly close: (part: Part) => Promise<unknown>
  /** Called after every failed attempt. @returns whether to stop trying, because the error cannot pass */
  readonly onFailure: (error: Error) => boolean
  readonly pause?: (ms: number, stopping: AbortSignal) => Promise<unknown>
}

/**
 * Starts to open a part; after a failed attempt it pauses for 1 s, growing to 30 s. BullMQ cannot be left to
 * do so: it keeps the outcome of its first attempt, and its main loop runs on a failed one without a pause.
 */
export function keepOpening<Part>({
  open,
  close,
  onFailure,
  pause = (ms, signal) => delay(ms, undefined, { signal }),
}: OpeningOptions<Part>): Opening<Part> {
  const stopping = new AbortController()
  const first = Promise.withResolvers<void>()
  let part: Part | null = null
  let failure: Error | null = null

  async function run(): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !stopping.signal.aborted; pauseMs = nextPause(pauseMs)) {
      try {
        part = await open(stopping.signal)
        return
      } catch (thrown) {
        if (stopping.signal.aborted) return
        failure = coerceError(thrown)
        if (onFailure(failure)) return
      } finally {
        first.resolve()
      }
      await pause(pauseMs, stopping.signal).catch(() => {})
    }
  }

  async function stop(): Promise<void> {
    stopping.abort()
    await running
    if (part !== null) await close(part)
  }

  const running = run()
  let closing: Promise<void> | undefined
  return {
    current: () => part,
    async get() {
      await first.promise
      if (part !== null) return part
      throw failure ?? new Error('queue closed')
    },
    close: () => {
      closing ??= stop()
      return closing
    },
  }
}

function nextPause(pauseMs: number): number {
  return Math.min(2 * pauseMs, MAX_PAUSE_MS)
}

/** Returns what `work` returns; rejects as soon as `stopping` fires, whatever `work` does. */
export async function unlessStopped<T>(work: Promise<T>, stopping: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>()
  const stop = () => stopped.reject(new Error('queue closed'))
  if (stopping.aborted) stop()
  stopping.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, stopped.promise])
  } finally {
    stopping.removeEventListener('abort', stop)
    stopped.promise.catch(() => {})
    work.catch(() => {})
  }
}
