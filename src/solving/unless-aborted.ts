/** @file Awaits work that may outlive a request no longer than the request lives. */

/** Returns the result of `work`; null when `signal` fires first. The work itself is not cancelled. */
export async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | null> {
  if (signal.aborted) return null
  const { promise, resolve } = Promise.withResolvers<null>()
  const settle = () => resolve(null)
  signal.addEventListener('abort', settle, { once: true })
  try {
    return await Promise.race([work(), promise])
  } finally {
    signal.removeEventListener('abort', settle)
  }
}
