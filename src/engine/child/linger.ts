/** @file A moment of waiting for the next call before a run that would keep it waiting longer. */

export interface Linger {
  /** Waits until a call arrives, at most for a moment. */
  wait(): Promise<void>
  /** Notes a call, which ends the wait. */
  arrived(): void
}

/** @param maxMs upper bound, in ms, on a wait: the way to the API process and back */
export function createLinger(maxMs: number): Linger {
  let end = () => {}
  return {
    async wait() {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, maxMs)
      end = resolve
      await promise
      clearTimeout(timer)
    },
    arrived: () => end(),
  }
}
