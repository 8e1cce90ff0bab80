/**
 * @file Lets isolated sessions in one at a time: those of requests in whose run an engine process died, of which
 * one may kill the next process too.
 */

export interface Quarantine {
  /** Waits until all who entered before have left. The returned function, which leaves, must be called once. */
  enter(): Promise<() => void>
}

export function createQuarantine(): Quarantine {
  let last: Promise<void> = Promise.resolve()
  return {
    async enter() {
      const previous = last
      const { promise, resolve } = Promise.withResolvers<void>()
      last = promise
      await previous
      return resolve
    },
  }
}
