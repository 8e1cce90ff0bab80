/** @file The loopback socket through which clients use the embedded backend like a Postgres server. */

import { timingSafeEqual } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { type Backend, type Client, createExchangeQueue, type ExchangeQueue } from './exchange-queue.ts'
import {
  createMessageReader,
  FRONTEND,
  fatalError,
  NO_ENCRYPTION,
  PASSWORD_REQUEST,
  passwordOf,
} from './pg-protocol.ts'

export interface PgProxy {
  readonly port: number
  /** Stops listening and closes every connection. */
  close(): Promise<void>
}

export interface PgProxyOptions {
  readonly backend: Backend
  /** Required of every client, because every user of the machine can reach a loopback port. */
  readonly password: string
  /** Called when the backend cannot be used any more. */
  readonly onBroken: (error: unknown) => void
}

/** Starts to listen on a free loopback port. */
export async function openPgProxy({ backend, password, onBroken }: PgProxyOptions): Promise<PgProxy> {
  const queue = createExchangeQueue(backend, onBroken)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serve(socket, queue, password)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('internal: expected a TCP address')
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

function serve(socket: Socket, queue: ExchangeQueue, password: string): void {
  const reader = createMessageReader()
  const client: Client = {
    write: (bytes) => {
      if (socket.writable) socket.write(bytes)
    },
  }
  let stage: 'startup' | 'password' | 'open' = 'startup'
  let startup: Buffer = Buffer.alloc(0)
  let unsent: Buffer[] = []

  function readStartup(): boolean {
    const first = reader.readStartup()
    if (first === null) return false
    if (first.kind === 'encryption') {
      socket.write(NO_ENCRYPTION)
    } else if (first.kind === 'cancel') {
      // Ignored: the backend is busy until the statement is done, so it cannot be cancelled.
      socket.end()
    } else {
      startup = first.message
      stage = 'password'
      socket.write(PASSWORD_REQUEST)
    }
    return true
  }

  function authenticate(): boolean {
    const message = reader.read()
    if (message === null) return false
    if (message[0] !== FRONTEND.password || !isSame(passwordOf(message), password)) {
      socket.end(fatalError('28P01', 'password authentication failed'))
      return false
    }
    stage = 'open'
    queue.connect(client)
    queue.enqueue(client, startup)
    return true
  }

  function forward(): boolean {
    const message = reader.read()
    if (message === null) return false
    const type = message[0]
    if (type === FRONTEND.terminate) {
      socket.end()
      return false
    }
    unsent.push(message)
    if (type === FRONTEND.sync || type === FRONTEND.query || type === FRONTEND.flush) {
      queue.enqueue(client, Buffer.concat(unsent))
      unsent = []
    }
    return true
  }

  socket.setNoDelay(true)
  socket.on('data', (chunk) => {
    reader.push(chunk)
    for (let more = true; more; ) {
      more = stage === 'startup' ? readStartup() : stage === 'password' ? authenticate() : forward()
    }
  })
  // A reset is a normal way to disconnect; 'close' follows.
  socket.on('error', () => {})
  socket.on('close', () => queue.disconnect(client))
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
