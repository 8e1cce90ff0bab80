/**
 * @file Program of an engine process. It is started by `fork` and exits when the channel to its parent closes
 * for any reason, or when its parent is gone, so that no engine process outlives its service.
 */

import { Worker } from 'node:worker_threads'
import { ServiceError } from '#errors'
import {
  type Call,
  type Handlers,
  type MessageFromChild,
  type MessageToChild,
  type OperationName,
  type RoleName,
  type Roles,
  type SessionMessage,
  type StartRole,
  toWireError,
} from '../protocol.ts'
import { chooseProvider } from './onnx-runtime.ts'
import { serve } from './serve.ts'
import { train } from './train.ts'

const ROLES: { readonly [Name in RoleName]: StartRole<Name> } = { serve, train }
const role = process.argv[2] ?? ''
if (!Object.hasOwn(ROLES, role) || !process.send) {
  const names = Object.keys(ROLES).join(', ')
  process.stderr.write(`engine: expected to be forked with a role (${names}), got '${role}'\n`)
  process.exit(64)
}
process.title = `circadian engine ${role}`

// A terminal sends Ctrl-C to the whole process group: the parent drains, then closes the channel.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
process.on('disconnect', () => process.exit())
// A thread of its own, because a run that never ends would keep the main thread from the disconnect event. An
// orphan is given another parent. Plain JavaScript, because stripping types in the thread would take 10 MB.
new Worker(
  `setInterval(() => { if (process.ppid !== ${process.ppid}) process.kill(process.pid, 'SIGKILL') }, 1000)`,
  { eval: true },
).unref()

/**
 * Sends a message unless the channel is closed. The channel may close during a run; the disconnect event then
 * ends the process.
 */
function send(message: MessageFromChild, sent = () => {}): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent)
}

let started: {
  readonly handlers: Partial<Handlers<OperationName>>
  readonly receive?: (message: SessionMessage) => void
  readonly thoughtLayers?: number
} = { handlers: {} }

async function start(options: Roles[RoleName]['options']): Promise<void> {
  try {
    const { provider, reason, isBroken } = await chooseProvider(options.executionProvider, options.cudaDevice)
    const level = isBroken ? 'warn' : 'info'
    send({ type: 'log', level, message: `execution provider ${provider}: ${reason}`, fields: {} })
    const startRole = ROLES[role as RoleName] as StartRole<RoleName>
    started = await startRole(options as Roles['serve']['options'], provider, (message) => send(message))
    send({ type: 'ready', provider, thoughtLayers: started.thoughtLayers ?? 0 })
  } catch (thrown) {
    process.exitCode = 1
    send({ type: 'failed', error: toWireError(thrown) }, () => process.disconnect?.())
  }
}

async function answer({ id, operation, params }: Call): Promise<void> {
  try {
    const handle = started.handlers[operation]
    if (!handle)
      throw new ServiceError('INTERNAL', `engine: expected a call of role ${role}, got ${operation}`)
    send({ type: 'result', id, value: await handle(params as never) })
  } catch (thrown) {
    send({ type: 'error', id, error: toWireError(thrown) })
  }
}

process.on('message', (message: MessageToChild) => {
  switch (message.type) {
    case 'start':
      void start(message.options)
      break
    case 'stop':
      process.exit(0)
      break
    case 'ping':
      send({ type: 'pong' })
      break
    case 'call':
      void answer(message)
      break
    default:
      started.receive?.(message)
  }
})
