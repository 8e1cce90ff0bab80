/** @file A signal for the end of the caller's interest. */

import type { ServerResponse } from 'node:http'

/** Returns a signal that is aborted if the connection closes before the response is complete. */
export function disconnectSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const onClose = () => {
    if (!response.writableFinished) controller.abort()
  }
  if (response.destroyed) controller.abort()
  else response.once('close', onClose)
  return controller.signal
}
