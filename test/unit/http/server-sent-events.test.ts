/** @file The end of an event stream whose client has stopped reading. */

import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createEventStream } from '../../../src/http/server-sent-events.ts'

const STALL_MS = 30_000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A response whose socket takes everything into its buffer, and whose client reads nothing. */
function unreadResponse() {
  const emitter = new EventEmitter()
  const response = Object.assign(emitter, {
    destroyed: false,
    writableNeedDrain: false,
    writableEnded: false,
    writeHead: () => response,
    write: () => true,
    end() {
      response.writableEnded = true
      return response
    },
    destroy() {
      response.destroyed = true
      response.emit('close')
      return response
    },
  })
  return response
}

function openStream(response: ReturnType<typeof unreadResponse>) {
  const stream = createEventStream(response as unknown as ServerResponse, {
    headers: () => ({}),
    heartbeatMs: 10_000,
    stallMs: STALL_MS,
    queuedBytes: 1024,
    onOpen: () => {},
  })
  stream.send('answer', '{}')
  stream.close()
  return stream
}

test('the connection of a client that does not read the end of its answer is closed', () => {
  const response = unreadResponse()
  openStream(response)
  expect(response.writableEnded).toBe(true)
  vi.advanceTimersByTime(STALL_MS - 1)
  expect(response.destroyed).toBe(false)
  vi.advanceTimersByTime(1)
  expect(response.destroyed).toBe(true)
  expect(vi.getTimerCount()).toBe(0)
})

test('the connection of a client that has read it stays', () => {
  const response = unreadResponse()
  openStream(response)
  response.emit('close')
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(2 * STALL_MS)
  expect(response.destroyed).toBe(false)
})
