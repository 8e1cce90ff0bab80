/** @file Lets the event loop run during long loops: the API may be served by the same process. */

import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/** Longest stretch of work, in ms, between two yields. */
const SLICE_MS = 5

/**
 * Returns a function to call, and await when it returns a promise, at every step of a long loop. It yields to
 * the event loop once 5 ms have passed since the last yield.
 *
 * @throws from the returned function: the signal's reason when it has fired.
 */
export function createYielding(signal?: AbortSignal): () => Promise<void> | undefined {
  let since = performance.now()
  return () => {
    if (performance.now() - since < SLICE_MS) return undefined
    signal?.throwIfAborted()
    return yieldToEventLoop().then(() => {
      since = performance.now()
    })
  }
}
