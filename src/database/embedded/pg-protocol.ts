/**
 * @file The part of Postgres' wire protocol (version 3) that the proxy needs: the boundaries of messages,
 * and the few messages that the proxy itself reads or writes.
 */

const SSL_REQUEST = 80877103
const GSS_ENCRYPTION_REQUEST = 80877104
const CANCEL_REQUEST = 80877102

/** First bytes of the message types that a client sends. */
export const FRONTEND = { password: 0x70, query: 0x51, sync: 0x53, flush: 0x48, terminate: 0x58 } as const

const BACKEND = { notification: 0x41, readyForQuery: 0x5a } as const

/** State of the backend after an answer: idle, inside a transaction, or inside one that failed. */
export type TransactionStatus = 'idle' | 'transaction' | 'failed'

export type StartupKind = 'encryption' | 'cancel' | 'start'

/** Splits a stream of bytes into whole messages, headers included. */
export function createMessageReader(): {
  push(chunk: Buffer): void
  /** Returns the first message of a connection, which has no type byte; null until it is complete. */
  readStartup(): { readonly kind: StartupKind; readonly message: Buffer } | null
  /** Returns the next message; null until it is complete. */
  read(): Buffer | null
} {
  /** Bytes that no message was made of yet. Joined only when a message is complete: each byte is copied once. */
  let chunks: Buffer[] = []
  let size = 0

  /** Removes the first `length` bytes, of which there are enough. */
  function take(length: number): Buffer {
    const parts: Buffer[] = []
    let missing = length
    for (const chunk of chunks) {
      if (chunk.length > missing) break
      parts.push(chunk)
      missing -= chunk.length
    }
    chunks = chunks.slice(parts.length)
    const [next] = chunks
    if (next !== undefined && missing > 0) {
      parts.push(next.subarray(0, missing))
      chunks[0] = next.subarray(missing)
    }
    size -= length
    const [first, second] = parts
    return first !== undefined && second === undefined ? first : Buffer.concat(parts)
  }

  /** Returns the first `length` bytes or more, and removes none; null until they are there. */
  function peek(length: number): Buffer | null {
    if (size < length) return null
    const [first] = chunks
    if (first !== undefined && first.length >= length) return first
    const head = take(length)
    chunks.unshift(head)
    size += length
    return head
  }

  return {
    push(chunk) {
      if (chunk.length === 0) return
      chunks.push(chunk)
      size += chunk.length
    },
    readStartup() {
      const head = peek(8)
      if (head === null) return null
      const length = head.readUInt32BE(0)
      if (size < length) return null
      const code = head.readUInt32BE(4)
      const kind =
        code === SSL_REQUEST || code === GSS_ENCRYPTION_REQUEST
          ? 'encryption'
          : code === CANCEL_REQUEST
            ? 'cancel'
            : 'start'
      return { kind, message: take(length) }
    },
    read() {
      const head = peek(5)
      if (head === null) return null
      const length = 1 + head.readUInt32BE(1)
      return size < length ? null : take(length)
    },
  }
}

/**
 * Splits an answer of the backend into notifications, which are for all clients, and the rest, which is for
 * the client that asked. `status` is null when the answer has no ReadyForQuery (after a Flush, or a
 * connection's first answer).
 */
export function splitAnswer(answer: Uint8Array): {
  readonly own: Buffer
  readonly notifications: Buffer
  readonly status: TransactionStatus | null
} {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength)
  const own: Buffer[] = []
  const notifications: Buffer[] = []
  let status: TransactionStatus | null = null
  let start = 0
  let end = 0
  while (end < bytes.length) {
    const message = bytes.subarray(end, end + 1 + bytes.readUInt32BE(end + 1))
    if (message[0] === BACKEND.notification) {
      own.push(bytes.subarray(start, end))
      notifications.push(message)
      start = end + message.length
    }
    if (message[0] === BACKEND.readyForQuery) {
      status = message[5] === 0x49 ? 'idle' : message[5] === 0x54 ? 'transaction' : 'failed'
    }
    end += message.length
  }
  own.push(bytes.subarray(start))
  return { own: Buffer.concat(own), notifications: Buffer.concat(notifications), status }
}

/** An AuthenticationCleartextPassword message. */
export const PASSWORD_REQUEST: Buffer = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])

/** The answer that declines encryption: the socket is on loopback. */
export const NO_ENCRYPTION: Buffer = Buffer.from('N')

/** Returns the text of a PasswordMessage. */
export function passwordOf(message: Buffer): string {
  return message.subarray(5, -1).toString('utf8')
}

/** Returns an ErrorResponse that ends the connection. */
export function fatalError(sqlState: string, text: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${sqlState}\0M${text}\0\0`)
  const header = Buffer.from([0x45, 0, 0, 0, 0])
  header.writeUInt32BE(fields.length + 4, 1)
  return Buffer.concat([header, fields])
}

/** Returns a simple Query message. */
export function simpleQuery(sql: string): Buffer {
  const text = Buffer.from(`${sql}\0`)
  const header = Buffer.from([FRONTEND.query, 0, 0, 0, 0])
  header.writeUInt32BE(text.length + 4, 1)
  return Buffer.concat([header, text])
}

/** A Sync message, which ends an unfinished extended query. */
export const SYNC: Buffer = Buffer.from([FRONTEND.sync, 0, 0, 0, 4])
