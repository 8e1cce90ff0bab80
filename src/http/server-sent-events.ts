/** @file Writes server-sent events to a raw response. */

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

export interface EventStreamOptions {
  /** Returns the headers of the response, called just before they are sent. */
  readonly headers: () => OutgoingHttpHeaders
  /** Time, in ms, between comments that keep proxies and clients from closing an idle connection. */
  readonly heartbeatMs: number
  /** Time, in ms, that a client may leave one event, or the end, unread before the connection is closed. */
  readonly stallMs: number
  /** Bytes that may wait for a client, beyond which the connection is closed. */
  readonly queuedBytes: number
  /** Called once, just before the headers are sent. From then on the stream owns the response. */
  readonly onOpen: () => void
}

export interface EventStream {
  /** False until the first event or heartbeat. Until then another response can still be sent. */
  readonly opened: boolean
  /** Sends an event. @param event null: an event without a name @param data one line, such as JSON. */
  send(event: string | null, data: string): void
  /**
   * Stops the heartbeat and, if the stream is open, ends the response after the queued events. Idempotent.
   */
  close(): void
}

/**
 * Creates an event stream for a producer that cannot be slowed down. Events are queued for a slow client, up to
 * `queuedBytes`, and written one at a time; heartbeats are omitted meanwhile. The connection of a client that stops
 * reading, or falls further behind, is closed, which cancels the solve like any disconnect.
 */
export function createEventStream(response: ServerResponse, options: EventStreamOptions): EventStream {
  const waiting: string[] = []
  let waitingBytes = 0
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
  // `close` also follows a complete response, so no timer is left in any case.
  response.once('close', stop)

  function stop(): void {
    clearInterval(heartbeat)
    clearTimeout(stall)
    waiting.length = 0
    waitingBytes = 0
  }

  function write(chunk: string): void {
    if (response.destroyed || ended) return
    if (!opened) open()
    waiting.push(chunk)
    waitingBytes += Buffer.byteLength(chunk)
    flush()
    if (waitingBytes > options.queuedBytes) response.destroy()
  }

  function open(): void {
    opened = true
    options.onOpen()
    response.writeHead(200, {
      ...options.headers(),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Otherwise nginx buffers events until its buffer is full.
      'x-accel-buffering': 'no',
    })
  }

  function flush(): void {
    while (waiting.length > 0 && !response.writableNeedDrain) {
      const chunk = waiting.shift() ?? ''
      waitingBytes -= Buffer.byteLength(chunk)
      if (!response.write(chunk)) limitStall()
    }
    if (!ended || waiting.length > 0 || response.writableEnded) return
    response.end()
    // Otherwise the end of a short answer would wait for its reader for ever: `close` clears the timer.
    limitStall()
  }

  function limitStall(): void {
    clearTimeout(stall)
    stall = setTimeout(() => response.destroy(), options.stallMs)
  }

  return {
    get opened() {
      return opened
    },
    send(event, data) {
      write(event === null ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`)
    },
    close() {
      clearInterval(heartbeat)
      ended = true
      if (opened) flush()
      else stop()
    },
  }
}
