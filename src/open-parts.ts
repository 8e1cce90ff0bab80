/** @file The parts of a process, closed in the reverse order of their opening, so that each part outlives its users. */

import { ServiceError } from '#errors'

interface Part {
  close(): PromiseLike<unknown>
}

export type Parts = ReturnType<typeof openParts>

export function openParts() {
  const stack = new AsyncDisposableStack()
  const lateClosings: Promise<unknown>[] = []
  let closing: Promise<void> | undefined

  function expectOpen(): void {
    if (stack.disposed)
      throw new ServiceError('ABORTED', 'start: expected to go on, got the end of the process')
  }

  async function closeAll(): Promise<void> {
    await stack.disposeAsync()
    await Promise.all(lateClosings)
  }

  /** A part that comes after the end is closed without anybody to report an error to. */
  function closeLate(part: Part): void {
    const closed = Promise.resolve(part.close())
    closed.catch(() => {})
    lateClosings.push(closed)
  }

  return {
    /** Returns whether `close` was called. */
    isClosing: () => stack.disposed,
    /**
     * Closes `part` at the end of the process; returns it.
     *
     * @throws ServiceError ABORTED when the end has begun; `part` is closed at once
     */
    keep<Kept extends Part>(part: Kept): Kept {
      if (stack.disposed) closeLate(part)
      expectOpen()
      stack.defer(async () => {
        await part.close()
      })
      return part
    },
    /**
     * Opens a part and closes it at the end of the process, which waits for a part that is still opening.
     *
     * @throws ServiceError ABORTED when the end has begun before the part is open
     */
    async open<Opened extends Part>(start: () => Promise<Opened>): Promise<Opened> {
      expectOpen()
      const opening = start()
      stack.defer(async () => {
        const part = await opening.catch(() => null)
        await part?.close()
      })
      const part = await opening
      expectOpen()
      return part
    },
    /** Closes all parts. Idempotent: every call resolves when all parts are closed. */
    close(): Promise<void> {
      closing ??= closeAll()
      return closing
    },
  }
}
