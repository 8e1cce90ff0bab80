/** @file Who may speak to the only backend, and when. */

import { SYNC, simpleQuery, splitAnswer } from './pg-protocol.ts'

/** A Postgres backend that answers one exchange at a time. Rejects only when it is broken for good. */
export interface Backend {
  exchange(messages: Uint8Array): Promise<Uint8Array>
}

/** One client connection, as the turns see it. */
export interface Client {
  write(bytes: Buffer): void
}

interface Turn {
  readonly client: Client
  readonly messages: Buffer
}

export interface Turns {
  /** Sends whole messages up to and including one that makes the backend answer. */
  take(client: Client, messages: Buffer): void
  join(client: Client): void
  /** Drops what the client still waits for and rolls back what it left open. */
  leave(client: Client): void
}

/**
 * Gives clients the backend in turns, so that each sees a session of its own as far as transactions and unnamed
 * statements go.
 *
 * A turn is everything up to a Sync or a simple Query, never less: parse, bind and execute are separate messages, and
 * with two clients' messages interleaved the one binds the other's unnamed statement and is sent the other's rows
 * (measured with pglite-socket 0.2.17, which queues single messages: two thirds of the answers wrong). Inside a transaction all
 * turns are the same client's. Notifications go to every client, because the backend does not know who listens;
 * clients ignore channels they never asked for.
 */
export function createTurns(backend: Backend, onBroken: (error: unknown) => void): Turns {
  const clients = new Set<Client>()
  const waiting: Turn[] = []
  /** The client whose transaction (or unfinished extended query) is open. */
  let holder: Client | null = null
  let running = false

  function next(): Turn | undefined {
    const index = holder === null ? 0 : waiting.findIndex((turn) => turn.client === holder)
    return index === -1 ? undefined : waiting.splice(index, 1)[0]
  }

  async function run(): Promise<void> {
    if (running) return
    running = true
    for (let turn = next(); turn !== undefined; turn = next()) {
      const { own, notifications, status } = splitAnswer(await backend.exchange(turn.messages))
      turn.client.write(own)
      if (notifications.length > 0) for (const client of clients) client.write(notifications)
      holder = status === 'idle' ? null : turn.client
      if (!clients.has(turn.client)) abandon(turn.client)
    }
    running = false
  }

  /** Ends the transaction of a client that is gone, before anybody else speaks. */
  function abandon(client: Client): void {
    if (holder !== client) return
    waiting.unshift({ client: NOBODY, messages: Buffer.concat([SYNC, simpleQuery('rollback')]) })
    holder = NOBODY
  }

  return {
    take(client, messages) {
      waiting.push({ client, messages })
      run().catch(onBroken)
    },
    join(client) {
      clients.add(client)
    },
    leave(client) {
      clients.delete(client)
      for (let index = waiting.length - 1; index >= 0; index--) {
        if (waiting[index]?.client === client) waiting.splice(index, 1)
      }
      abandon(client)
      run().catch(onBroken)
    },
  }
}

const NOBODY: Client = { write: () => {} }
