/** @file The parts of a process, closed in the reverse order of their opening, so that each part outlives its users. */

interface Part {
  close(): PromiseLike<unknown>
}

export function openParts() {
  const stack = new AsyncDisposableStack()
  return {
    /** Closes `part` at the end of the process; returns it. */
    keep: <Kept extends Part>(part: Kept): Kept =>
      stack.adopt(part, async () => {
        await part.close()
      }),
    /** Closes all parts. Idempotent. */
    close: () => stack.disposeAsync(),
  }
}
