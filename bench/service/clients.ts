/**
 * @file Clients of a service in a process of their own, so that the timing of one tenant does not wait for the
 * event loop of another one's client. `startClients` forks this file; messages ask it to work.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import type { Solution } from '#solving'

/** Where and as whom the clients of a process ask. */
interface Target {
  readonly origin: string
  readonly key: string
}

/** An answered request, as its client saw it. */
export interface Reply {
  readonly status: number
  readonly ms: number
  /** null unless it was solved. */
  readonly timings: Solution['timings'] | null
  readonly degraded: readonly string[]
}

export interface CrowdCounts {
  readonly answered: number
  readonly refused: number
  readonly failed: number
}

type Order =
  | { readonly what: 'sequence'; readonly bodies: readonly object[] }
  | { readonly what: 'crowd'; readonly bodies: readonly object[]; readonly connections: number }
  | { readonly what: 'count' }
  | { readonly what: 'stop' }

export interface Clients {
  /** Asks one question after the other. */
  sequence(bodies: readonly object[]): Promise<readonly Reply[]>
  /** Keeps `connections` questions waiting until `stop`; one that is refused comes again after `Retry-After`. */
  crowd(bodies: readonly object[], connections: number): void
  /** Returns the counts since the crowd began. */
  count(): Promise<CrowdCounts>
  /** Lets the questions of the crowd be answered. */
  stop(): Promise<CrowdCounts>
  close(): void
}

export function startClients(target: Target): Clients {
  const child = fork(import.meta.filename, [JSON.stringify(target)])
  const ask = async <Answer>(order: Order): Promise<Answer> => {
    child.send(order)
    const [answer] = await once(child, 'message')
    return answer as Answer
  }
  return {
    sequence: (bodies) => ask({ what: 'sequence', bodies }),
    crowd: (bodies, connections) => void child.send({ what: 'crowd', bodies, connections } satisfies Order),
    count: () => ask({ what: 'count' }),
    stop: () => ask({ what: 'stop' }),
    close: () => void (child satisfies ChildProcess).kill(),
  }
}

/** Sends one question and reads the whole answer. */
async function ask({ origin, key }: Target, body: object, agent: Agent) {
  const started = performance.now()
  const sent = request(`${origin}/solve`, {
    agent,
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
  }).end(JSON.stringify(body))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const ms = performance.now() - started
  const status = response.statusCode ?? 0
  const retryMs = 1000 * Number(response.headers['retry-after'] ?? 1)
  return { status, ms, retryMs, text: Buffer.concat(chunks).toString() }
}

function serve(target: Target): void {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  let counts = { answered: 0, refused: 0, failed: 0 }
  let stopping = new AbortController()
  let lanes: Promise<void>[] = []

  async function sequence(bodies: readonly object[]): Promise<readonly Reply[]> {
    const replies: Reply[] = []
    for (const body of bodies) {
      const { status, ms, text } = await ask(target, body, agent)
      const { timings, degraded } = JSON.parse(text) as Solution
      replies.push({ status, ms, timings: status === 200 ? timings : null, degraded: degraded ?? [] })
    }
    return replies
  }

  async function lane(bodies: readonly object[], first: number, step: number): Promise<void> {
    const { signal } = stopping
    for (let index = first; !signal.aborted; index += step) {
      // A connection that breaks counts as failed.
      const gone = { status: 0, retryMs: 1000 }
      const { status, retryMs } = await ask(target, bodies[index % bodies.length]!, agent).catch(() => gone)
      counts.answered += Number(status === 200)
      counts.refused += Number(status === 503)
      counts.failed += Number(status !== 200 && status !== 503)
      if (status !== 200) await setTimeout(retryMs, undefined, { signal }).catch(() => {})
    }
  }

  process.on('message', async (order: Order) => {
    if (order.what === 'sequence') process.send?.(await sequence(order.bodies))
    if (order.what === 'count') process.send?.(counts)
    if (order.what === 'crowd') {
      counts = { answered: 0, refused: 0, failed: 0 }
      stopping = new AbortController()
      const { bodies, connections } = order
      lanes = Array.from({ length: connections }, (_, first) => lane(bodies, first, connections))
    }
    if (order.what === 'stop') {
      stopping.abort()
      await Promise.all(lanes)
      process.send?.(counts)
    }
  })
}

if (process.argv[1] === import.meta.filename) serve(JSON.parse(process.argv[2]!) as Target)
