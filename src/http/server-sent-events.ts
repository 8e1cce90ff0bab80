/** @file Server-sent events over a raw response. */

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

export interface EventStreamOptions {
  readonly headers: OutgoingHttpHeaders
  /** Milliseconds between comments that keep proxies and clients from giving up. */
  readonly heartbeatMs: number
  /** Milliseconds that a client may leave one event unread before the connection is cut. */
  readonly stallMs: number
  /** Called once, just before the headers go out: from then on the response belongs to the stream. */
  readonly onOpen: () => void
}

export interface EventStream {
  /** False until the first event or heartbeat: until then the response can still be something else. */
  readonly opened: boolean
  /** @param data one line, such as JSON. */
  send(event: string, data: string): void
  /** Ends the response after what still waits, if it was opened, and the heartbeat in any case. Idempotent. */
  close(): void
}

/**
 * A stream whose producer cannot be slowed down: what a solver tells is little and bounded by its budget, so events
 * wait here for a slow client, one at a time on their way, heartbeats are left out meanwhile, and a client that stops
 * reading is cut off. Cutting closes the response, which cancels the work like any disconnect.
 */
export function createEventStream(response: ServerResponse, options: EventStreamOptions): EventStream {
  const waiting: string[] = []
  let opened = false
  let ended = false
  let stall: NodeJS.Timeout | undefined
  const heartbeat = setInterval(() => {
    if (waiting.length === 0 && !response.writableNeedDrain) write(': heartbeat\n\n')
  }, options.heartbeatMs)

  response.on('drain', () => {
    clearTimeout(stall)
    flush()
  })
  // Also follows a complete response: whatever happens, no timer survives it.
  response.once('close', stop)

  function stop(): void {
    clearInterval(heartbeat)
    clearTimeout(stall)
    waiting.length = 0
  }

  function write(chunk: string): void {
    if (response.destroyed || ended) return
    if (!opened) open()
    waiting.push(chunk)
    flush()
  }

  function open(): void {
    opened = true
    options.onOpen()
    response.writeHead(200, {
      ...options.headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx would collect events until its buffer is full.
      'x-accel-buffering': 'no',
    })
  }

  function flush(): void {
    while (waiting.length > 0 && !response.writableNeedDrain) {
      const taken = response.write(waiting.shift() ?? '')
      if (!taken) stall = setTimeout(() => response.destroy(), options.stallMs)
    }
    if (ended && waiting.length === 0) response.end()
  }

  return {
    get opened() {
      return opened
    },
    send(event, data) {
      write(`event: ${event}\ndata: ${data}\n\n`)
    },
    close() {
      clearInterval(heartbeat)
      ended = true
      if (opened) flush()
      else stop()
    },
  }
}
