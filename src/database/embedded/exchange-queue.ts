/**
 * @file The queue in front of the only backend: runs whole exchanges, and whole transactions, one at a time.
 */

import { SYNC, simpleQuery, splitAnswer } from './pg-protocol.ts'

/** A Postgres backend that answers one exchange at a time. */
export interface Backend {
  /** Rejects only when the backend cannot be used any more. */
  exchange(messages: Uint8Array): Promise<Uint8Array>
}

/** One client connection, as the queue sees it. */
export interface Client {
  write(bytes: Buffer): void
}

interface Exchange {
  readonly client: Client
  readonly messages: Buffer
}

export interface ExchangeQueue {
  /** Queues one exchange: whole messages, the last of which makes the backend answer. */
  enqueue(client: Client, messages: Buffer): void
  connect(client: Client): void
  /** Drops the client's queued exchanges and rolls back its open transaction. */
  disconnect(client: Client): void
}

/**
 * Queues the exchanges of all clients for the one backend, so that each client has a session of its own as
 * far as transactions and unnamed statements go.
 *
 * An exchange is everything up to a Sync or a simple Query, never less. Parse, bind and execute are separate
 * messages: when the messages of two clients interleave, one client binds the other's unnamed statement and
 * is sent the other's rows (measured with pglite-socket 0.2.17, which queues single messages: two thirds of
 * the answers were wrong). During a transaction only exchanges of the client that opened it run.
 * Notifications go to every client, because the backend does not report which connection listens; clients
 * ignore channels they did not ask for.
 */
export function createExchangeQueue(backend: Backend, onBroken: (error: unknown) => void): ExchangeQueue {
  const clients = new Set<Client>()
  const waiting: Exchange[] = []
  /** The client that has an open transaction or an unfinished extended query. */
  let holder: Client | null = null
  let running = false

  function next(): Exchange | undefined {
    const index = holder === null ? 0 : waiting.findIndex((exchange) => exchange.client === holder)
    return index === -1 ? undefined : waiting.splice(index, 1)[0]
  }

  async function run(): Promise<void> {
    if (running) return
    running = true
    for (let exchange = next(); exchange !== undefined; exchange = next()) {
      const { own, notifications, status } = splitAnswer(await backend.exchange(exchange.messages))
      exchange.client.write(own)
      if (notifications.length > 0) for (const client of clients) client.write(notifications)
      holder = status === 'idle' ? null : exchange.client
      if (!clients.has(exchange.client)) abandon(exchange.client)
    }
    running = false
  }

  /** Rolls back the transaction of a disconnected client before any other exchange runs. */
  function abandon(client: Client): void {
    if (holder !== client) return
    waiting.unshift({ client: NO_CLIENT, messages: Buffer.concat([SYNC, simpleQuery('rollback')]) })
    holder = NO_CLIENT
  }

  return {
    enqueue(client, messages) {
      waiting.push({ client, messages })
      run().catch(onBroken)
    },
    connect(client) {
      clients.add(client)
    },
    disconnect(client) {
      clients.delete(client)
      for (let index = waiting.length - 1; index >= 0; index--) {
        if (waiting[index]?.client === client) waiting.splice(index, 1)
      }
      abandon(client)
      run().catch(onBroken)
    },
  }
}

/** Stands for a disconnected client: answers to it are discarded. */
const NO_CLIENT: Client = { write: () => {} }
