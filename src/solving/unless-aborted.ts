/** @file Work that may outlive a request, awaited no longer than the request lives. */

/** What `work` gives; null when `signal` fires first, whatever becomes of the work then. */
export async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | null> {
  if (signal.aborted) return null
  const { promise, resolve } = Promise.withResolvers<null>()
  const give = () => resolve(null)
  signal.addEventListener('abort', give, { once: true })
  try {
    return await Promise.race([work(), promise])
  } finally {
    signal.removeEventListener('abort', give)
  }
}
