/**
 * @file The engine process. Started by `fork`, lives as long as its channel to the API process: when that closes, for
 * whatever reason, it exits, so no engine outlives its service.
 */

import { type MessageFromChild, type MessageToChild, type SessionMessage, toWireError } from '../protocol.ts'
import { serve } from './serve.ts'

const ROLES = ['serve']
const role = process.argv[2] ?? ''
if (!ROLES.includes(role) || !process.send) {
  process.stderr.write(`engine: expected to be forked with a role (${ROLES.join(', ')}), got '${role}'\n`)
  process.exit(64)
}
process.title = `circadian engine ${role}`

// A terminal sends Ctrl-C to the whole process group: the API process drains, then closes the channel.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
process.on('disconnect', () => process.exit())

/** The channel may close while a run is going on; the disconnect event ends the process then. */
function send(message: MessageFromChild, sent = () => {}): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent)
}

let handle: ((message: SessionMessage) => void) | null = null

process.on('message', (message: MessageToChild) => {
  if (message.type === 'stop') process.exit(0)
  if (message.type !== 'serve') {
    handle?.(message)
    return
  }
  serve(message.options, (out) => send(out)).then(
    (ready) => {
      handle = ready
    },
    (thrown: unknown) => {
      process.exitCode = 1
      send({ type: 'failed', error: toWireError(thrown) }, () => process.disconnect?.())
    },
  )
})
