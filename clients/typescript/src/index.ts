/** @file Typed client of a Circadian server. Its types are generated from openapi.yaml, into contract.d.ts. */

import { EventSourceParserStream } from 'eventsource-parser/stream'
import createFetchClient, { type Client } from 'openapi-fetch'
import type { Problem, paths, Solution, SolveEvent, SolveRequest } from './contract.d.ts'

export type * from './contract.d.ts'

export interface ClientOptions {
  /** Address of the server, such as `http://127.0.0.1:3000`. */
  readonly baseUrl: string
  /** API key, sent as a bearer token; none while the server has no keys. */
  readonly apiKey?: string
  /** Replaces the `fetch` of the platform. */
  readonly fetch?: typeof globalThis.fetch
}

export interface CallOptions {
  /** Ends the request: the server stops the work on it. */
  readonly signal?: AbortSignal
  /**
   * Key of a solve, such as a UUID. The same request with the same key gets the same answer and makes one episode, also
   * after a connection that broke.
   */
  readonly idempotencyKey?: string
}

type Json = 'application/json' | 'application/problem+json'

/** Calls by method and path, with the types of the contract: `client.GET('/episodes/{id}', { params })`. */
export interface CircadianClient extends Client<paths, Json> {
  /**
   * Solves a question and waits for the answer.
   *
   * @throws CircadianError when the server refuses or fails
   */
  solve(request: SolveRequest, options?: CallOptions): Promise<Solution>
  /**
   * Solves a question and yields its events as they happen; the last one is `answer`. Leaving the loop early cancels
   * the request.
   *
   * @throws CircadianError when the server refuses or fails, also in the middle of the stream
   */
  solveEvents(request: SolveRequest, options?: CallOptions): AsyncGenerator<SolveEvent, void, undefined>
}

/** A problem that the server answered with (RFC 9457). */
export class CircadianError extends Error {
  override readonly name = 'CircadianError'
  /** Status of the response; that of the problem when it came as an event. */
  readonly status: number
  /** The problem; null when the answer was none, for example that of a proxy. */
  readonly problem: Problem | null
  /** Seconds after which to try again; null when the server gave none. */
  readonly retryAfterSeconds: number | null

  constructor(status: number, problem: Problem | null, retryAfter: string | null = null) {
    super(
      problem?.detail ?? problem?.title ?? `expected an answer of a Circadian server, got status ${status}`,
    )
    this.status = status
    this.problem = problem
    this.retryAfterSeconds = retryAfter === null ? null : Number(retryAfter)
  }
}

/** Creates a client. It keeps no connection of its own, so it need not be closed. */
export function createClient({ baseUrl, apiKey, fetch }: ClientOptions): CircadianClient {
  const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
  const client = createFetchClient<paths, Json>({ baseUrl, headers, ...(fetch && { fetch }) })
  return {
    ...client,
    async solve(body, { signal, idempotencyKey } = {}) {
      const { data, error, response } = await client.POST('/solve', {
        body,
        ...(signal && { signal }),
        headers: { 'idempotency-key': idempotencyKey },
      })
      if (data === undefined) throw refusal(response, error)
      // The 202 answers only requests that ask for it, with `Prefer: respond-async`.
      return data as Solution
    },
    async *solveEvents(body, { signal, idempotencyKey } = {}) {
      const { data, error, response } = await client.POST('/solve', {
        body,
        ...(signal && { signal }),
        headers: { accept: 'text/event-stream', 'idempotency-key': idempotencyKey },
        parseAs: 'stream',
      })
      if (data === undefined || data === null) throw refusal(response, error)
      yield* readEvents(data)
    },
  }
}

async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<SolveEvent, void, undefined> {
  const text = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  const reader = text.pipeThrough(new EventSourceParserStream()).getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) throw new CircadianError(502, null)
      const event = { event: value.event, data: JSON.parse(value.data) } as SolveEvent
      if (event.event === 'error') throw new CircadianError(event.data.status, event.data)
      yield event
      if (event.event === 'answer') return
    }
  } finally {
    await reader.cancel()
  }
}

function refusal(response: Response, error: unknown): CircadianError {
  const isProblem = typeof error === 'object' && error !== null && 'code' in error
  return new CircadianError(
    response.status,
    isProblem ? (error as Problem) : null,
    response.headers.get('retry-after'),
  )
}
