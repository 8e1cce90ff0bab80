/** @file A caller who hangs up, as an `AbortSignal`. */

import type { ServerResponse } from 'node:http'

/** Fires when the connection is gone before the response was complete. */
export function disconnectSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const onClose = () => {
    if (!response.writableFinished) controller.abort()
  }
  if (response.destroyed) controller.abort()
  else response.once('close', onClose)
  return controller.signal
}
