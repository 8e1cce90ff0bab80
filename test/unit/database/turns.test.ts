import { describe, expect, it } from 'vitest'
import {
  createMessageReader,
  SYNC,
  simpleQuery,
  splitAnswer,
} from '../../../src/database/embedded/pg-protocol.ts'
import { type Client, createTurns } from '../../../src/database/embedded/turns.ts'

const READY = { idle: 'I', transaction: 'T', failed: 'E' } as const

function message(type: string, body: string): Buffer {
  const header = Buffer.alloc(5)
  header.write(type)
  header.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([header, Buffer.from(body)])
}

/** A backend that answers with what it was told, and remembers the order. */
function createBackend() {
  const heard: string[] = []
  let status: keyof typeof READY = 'idle'
  return {
    heard,
    async exchange(messages: Uint8Array): Promise<Uint8Array> {
      const text = Buffer.from(messages).toString('latin1')
      heard.push(text.replaceAll(/[^a-z ]/g, ''))
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

describe('createTurns', () => {
  it('keeps a transaction to one client and lets the others speak after it', async () => {
    const backend = createBackend()
    const turns = createTurns(backend, fail)
    const [a, b] = [createClient(), createClient()]
    turns.join(a)
    turns.join(b)
    turns.take(a, simpleQuery('begin'))
    turns.take(b, simpleQuery('from b'))
    await idle()
    turns.take(a, simpleQuery('insert'))
    await idle()
    expect(b.received).toEqual([])
    turns.take(a, simpleQuery('commit'))
    await idle()
    expect(backend.heard).toEqual(['begin', 'insert', 'commit', 'from b'])
    expect(b.received).toHaveLength(1)
  })

  it('rolls back for a client that leaves inside a transaction, also in the middle of an exchange', async () => {
    const backend = createBackend()
    const turns = createTurns(backend, fail)
    const [a, b] = [createClient(), createClient()]
    turns.join(a)
    turns.join(b)
    turns.take(a, simpleQuery('begin'))
    turns.leave(a)
    turns.take(b, simpleQuery('from b'))
    await idle()
    expect(backend.heard.at(0)).toBe('begin')
    expect(backend.heard.at(-1)).toBe('from b')
    expect(backend.heard.slice(1, -1).every((text) => text === 'rollback')).toBe(true)
    expect(backend.heard.length).toBeGreaterThan(2)
  })

  it('forgets what a client that left still waited for', async () => {
    const backend = createBackend()
    const turns = createTurns(backend, fail)
    const [a, b] = [createClient(), createClient()]
    turns.join(a)
    turns.join(b)
    turns.take(a, simpleQuery('from a'))
    turns.take(b, simpleQuery('from b'))
    turns.leave(b)
    await idle()
    expect(backend.heard).toEqual(['from a'])
  })

  it('brings notifications to everybody, answers to who asked', async () => {
    const turns = createTurns(createBackend(), fail)
    const [a, b] = [createClient(), createClient()]
    turns.join(a)
    turns.join(b)
    turns.take(a, simpleQuery('notify'))
    await idle()
    expect(Buffer.concat(b.received)).toEqual(message('A', 'news'))
    expect(splitAnswer(Buffer.concat(a.received)).notifications).toEqual(message('A', 'news'))
  })

  it('reports a backend that broke', async () => {
    const broken: unknown[] = []
    const turns = createTurns({ exchange: () => Promise.reject(new Error('out of memory')) }, (e) =>
      broken.push(e),
    )
    turns.take(createClient(), SYNC)
    await idle()
    expect(broken).toEqual([new Error('out of memory')])
  })
})

describe('createMessageReader', () => {
  it('cuts messages out of any chunks', () => {
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

  it('tells the ways in which a connection begins', () => {
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
  it('knows how the backend stands, and that it did not say', () => {
    for (const [status, letter] of Object.entries(READY)) {
      expect(splitAnswer(Buffer.concat([message('C', 'x'), message('Z', letter)])).status).toBe(status)
    }
    expect(splitAnswer(message('1', '')).status).toBeNull()
    expect(splitAnswer(new Uint8Array())).toMatchObject({ own: Buffer.alloc(0), status: null })
  })
})
