/** @file The signals that end a command with what it has. */

/** Exit code of a command that SIGINT or SIGTERM ended. */
export const EXIT_INTERRUPTED = 130

/** Returns a signal that fires at the first SIGINT or SIGTERM; a second SIGINT ends the process. */
export function stopAtSignals(): AbortSignal {
  const controller = new AbortController()
  process.once('SIGINT', () => controller.abort())
  // Stays, because npx repeats the signal.
  process.on('SIGTERM', () => controller.abort())
  return controller.signal
}
