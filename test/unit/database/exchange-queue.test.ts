import { describe, expect, it, vi } from 'vitest'
import { type Client, createExchangeQueue } from '../../../src/database/embedded/exchange-queue.ts'
import {
  createMessageReader,
  SYNC,
  simpleQuery,
  splitAnswer,
} from '../../../src/database/embedded/pg-protocol.ts'

const READY = { idle: 'I', transaction: 'T', failed: 'E' } as const

function message(type: string, body: string): Buffer {
  const header = Buffer.alloc(5)
  header.write(type)
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, Buffer.from(body)])
}

/** A backend that echoes every exchange and records their order. */
function createBackend() {
  const log: string[] = []
  let status: keyof typeof READY = 'idle'
  return {
    log,
    async exchange(messages: Uint8Array): Promise<Uint8Array> {
      const text = Buffer.from(messages).toString('latin1')
      log.push(text.replaceAll(/[^a-z ]/g, ''))
      if (text.includes('begin')) status = 'transaction'
      if (text.includes('commit') || text.includes('rollback')) status = 'idle'
      await new Promise((resolve) => setImmediate(resolve))
      const notification = text.includes('notify') ? message('A', 'news') : Buffer.alloc(0)
      return Buffer.concat([message('C', text), notification, message('Z', READY[status])])
    },
  }
}

function createClient(): Client & { readonly received: Buffer[] } {
  const received: Buffer[] = []
  return { received, write: (bytes) => void received.push(bytes) }
}

const idle = () => new Promise((resolve) => setTimeout(resolve, 20))

function fail(error: unknown): never {
  throw error
}

describe('createExchangeQueue', () => {
  it('runs exchanges of other clients only after an open transaction has ended', async () => {
    const backend = createBackend()
    const queue = createExchangeQueue(backend, fail)
    const [a, b] = [createClient(), createClient()]
    queue.connect(a)
    queue.connect(b)
    queue.enqueue(a, simpleQuery('begin'))
    queue.enqueue(b, simpleQuery('from b'))
    await idle()
    queue.enqueue(a, simpleQuery('insert'))
    await idle()
    expect(b.received).toEqual([])
    queue.enqueue(a, simpleQuery('commit'))
    await idle()
    expect(backend.log).toEqual(['begin', 'insert', 'commit', 'from b'])
    expect(b.received).toHaveLength(1)
  })

  it('rolls back the transaction of a client that disconnects, also during an exchange', async () => {
    const backend = createBackend()
    const queue = createExchangeQueue(backend, fail)
    const [a, b] = [createClient(), createClient()]
    queue.connect(a)
    queue.connect(b)
    queue.enqueue(a, simpleQuery('begin'))
    queue.disconnect(a)
    queue.enqueue(b, simpleQuery('from b'))
    await idle()
    expect(backend.log.at(0)).toBe('begin')
    expect(backend.log.at(-1)).toBe('from b')
    expect(backend.log.slice(1, -1).every((text) => text === 'rollback')).toBe(true)
    expect(backend.log.length).toBeGreaterThan(2)
  })

  it('drops the queued exchanges of a client that disconnects', async () => {
    const backend = createBackend()
    const queue = createExchangeQueue(backend, fail)
    const [a, b] = [createClient(), createClient()]
    queue.connect(a)
    queue.connect(b)
    queue.enqueue(a, simpleQuery('from a'))
    queue.enqueue(b, simpleQuery('from b'))
    queue.disconnect(b)
    await idle()
    expect(backend.log).toEqual(['from a'])
  })

  it('sends notifications to all clients and the answer to the client that asked', async () => {
    const queue = createExchangeQueue(createBackend(), fail)
    const [a, b] = [createClient(), createClient()]
    queue.connect(a)
    queue.connect(b)
    queue.enqueue(a, simpleQuery('notify'))
    await idle()
    expect(Buffer.concat(b.received)).toEqual(message('A', 'news'))
    expect(splitAnswer(Buffer.concat(a.received)).notifications).toEqual(message('A', 'news'))
  })

  it('reports a broken backend', async () => {
    const broken: unknown[] = []
    const queue = createExchangeQueue({ exchange: () => Promise.reject(new Error('out of memory')) }, (e) =>
      broken.push(e),
    )
    queue.enqueue(createClient(), SYNC)
    await idle()
    expect(broken).toEqual([new Error('out of memory')])
  })
})

describe('createMessageReader', () => {
  it('reassembles messages from chunks of any size', () => {
    const messages = [message('P', 'parse'), message('S', ''), message('Q', 'x'.repeat(1000))]
    const bytes = Buffer.concat(messages)
    for (const size of [1, 3, 7, 500, bytes.length]) {
      const reader = createMessageReader()
      const found: Buffer[] = []
      for (let at = 0; at < bytes.length; at += size) {
        reader.push(bytes.subarray(at, at + size))
        for (let next = reader.read(); next !== null; next = reader.read()) found.push(next)
      }
      expect(found).toEqual(messages)
    }
  })

  it('copies no byte of a large message more than twice', () => {
    const size = 32 << 20
    const bytes = Buffer.alloc(5 + size, 'x')
    bytes.write('B')
    bytes.writeUInt32BE(size + 4, 1)
    let copied = 0
    const concat = Buffer.concat
    const spy = vi.spyOn(Buffer, 'concat').mockImplementation((parts, length) => {
      copied += parts.reduce((sum, part) => sum + part.length, 0)
      return concat(parts, length)
    })
    try {
      const reader = createMessageReader()
      let message: Buffer | null = null
      for (let at = 0; at < bytes.length; at += 1 << 16) {
        expect(message).toBeNull()
        reader.push(bytes.subarray(at, at + (1 << 16)))
        message = reader.read()
      }
      expect(message?.equals(bytes)).toBe(true)
      expect(reader.read()).toBeNull()
    } finally {
      spy.mockRestore()
    }
    expect(copied).toBeLessThanOrEqual(2 * bytes.length)
  })

  it('recognises encryption requests, cancel requests and startup messages', () => {
    const first = (code: number) => {
      const bytes = Buffer.alloc(8)
      bytes.writeUInt32BE(8)
      bytes.writeUInt32BE(code, 4)
      const reader = createMessageReader()
      reader.push(bytes.subarray(0, 5))
      expect(reader.readStartup()).toBeNull()
      reader.push(bytes.subarray(5))
      return reader.readStartup()?.kind
    }
    expect([80877103, 80877104, 80877102, 196608].map(first)).toEqual([
      'encryption',
      'encryption',
      'cancel',
      'start',
    ])
  })
})

describe('splitAnswer', () => {
  it('returns the transaction status, or null when the answer has none', () => {
    for (const [status, letter] of Object.entries(READY)) {
      expect(splitAnswer(Buffer.concat([message('C', 'x'), message('Z', letter)])).status).toBe(status)
    }
    expect(splitAnswer(message('1', '')).status).toBeNull()
    expect(splitAnswer(new Uint8Array())).toMatchObject({ own: Buffer.alloc(0), status: null })
  })
})
