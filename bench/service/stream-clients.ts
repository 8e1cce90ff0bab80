/** @file Readers of streams in a process of their own, and readers that stop reading. `startReaders` forks this file. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'

/** A stream of `POST /v1/chat/completions`, as its reader saw it. Times are milliseconds since the request was sent. */
export interface StreamTimes {
  readonly isComplete: boolean
  readonly headersMs: number
  /** Each chunk with text. */
  readonly chunks: readonly { readonly ms: number; readonly characters: number; readonly isAnswer: boolean }[]
  readonly endMs: number
  readonly usage: {
    readonly completion_tokens: number
    readonly completion_tokens_details: { readonly reasoning_tokens: number }
  } | null
}

type Order =
  /** Reads `bodies` in `lanes` at once. */
  | {
      readonly what: 'read'
      readonly bodies: readonly object[]
      readonly lanes: number
      readonly pauseMs: number
    }
  | { readonly what: 'stall'; readonly bodies: readonly object[] }

export interface Readers {
  /** @param pauseMs pause of a lane after a stream */
  read(bodies: readonly object[], lanes: number, pauseMs?: number): Promise<readonly StreamTimes[]>
  /** Asks for streams and reads nothing of them. */
  stall(bodies: readonly object[]): void
  close(): void
}

export function startReaders(origin: string): Readers {
  const child = fork(import.meta.filename, [origin])
  const ask = async <Answer>(order: Order): Promise<Answer> => {
    child.send(order)
    const [answer] = await once(child, 'message')
    return answer as Answer
  }
  return {
    read: (bodies, lanes, pauseMs = 0) => ask({ what: 'read', bodies, lanes, pauseMs }),
    stall: (bodies) => void child.send({ what: 'stall', bodies } satisfies Order),
    close: () => void child.kill(),
  }
}

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string; readonly reasoning?: string } }[]
  readonly usage?: StreamTimes['usage']
}

const PATH = '/v1/chat/completions'

async function readStream(origin: string, body: object, agent: Agent): Promise<StreamTimes> {
  const started = performance.now()
  const since = () => performance.now() - started
  const sent = request(origin + PATH, {
    agent,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  }).end(JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const headersMs = since()
  const chunks: StreamTimes['chunks'][number][] = []
  let usage: StreamTimes['usage'] = null
  let text = ''
  let isComplete = false
  for await (const part of response.setEncoding('utf8')) {
    const ms = since()
    text += part
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      if (!block.startsWith('data: ')) continue
      if (block === 'data: [DONE]') {
        isComplete = true
        continue
      }
      const chunk = JSON.parse(block.slice(6)) as Chunk
      usage = chunk.usage ?? usage
      const { content = '', reasoning = '' } = chunk.choices?.[0]?.delta ?? {}
      const characters = content.length + reasoning.length
      if (characters > 0) chunks.push({ ms, characters, isAnswer: content !== '' })
    }
  }
  return { isComplete, headersMs, chunks, endMs: since(), usage }
}

function serve(origin: string): void {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  const stalled: Socket[] = []

  async function read(bodies: readonly object[], lanes: number, pauseMs: number) {
    const times: StreamTimes[] = []
    const lane = async (first: number) => {
      for (let index = first; index < bodies.length; index += lanes) {
        times[index] = await readStream(origin, bodies[index]!, agent)
        await setTimeout(pauseMs)
      }
    }
    await Promise.all(Array.from({ length: lanes }, (_, first) => lane(first)))
    return times
  }

  function stall(body: object): void {
    const { hostname, port } = new URL(origin)
    const socket = connect(Number(port), hostname)
    stalled.push(socket)
    socket.pause()
    socket.on('error', () => {})
    const text = JSON.stringify({ ...body, stream: true })
    socket.write(
      [
        `POST ${PATH} HTTP/1.1`,
        `host: ${hostname}:${port}`,
        'content-type: application/json',
        `content-length: ${Buffer.byteLength(text)}`,
        '',
        text,
      ].join('\r\n'),
    )
  }

  process.on('message', async (order: Order) => {
    if (order.what === 'read') process.send?.(await read(order.bodies, order.lanes, order.pauseMs))
    if (order.what === 'stall') for (const body of order.bodies) stall(body)
  })
}

if (process.argv[1] === import.meta.filename) serve(process.argv[2]!)
