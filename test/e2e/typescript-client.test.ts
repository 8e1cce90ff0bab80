/** @file The TypeScript client against a running service. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CircadianError, createClient, type SolveEvent } from '../../clients/typescript/src/index.ts'
import { type ServiceProcess, startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

// The draft of the bundled model fails.
const QUESTION = 'Eve at the school: 6 + 4 * 7 - 4 - 5 = ?'

describe('the TypeScript client', () => {
  const stack = new AsyncDisposableStack()
  let service: ServiceProcess
  beforeAll(async () => {
    const folder = stack.use(await dataFolder())
    service = stack.use(await startService({ DATA_DIR: folder.path }))
  })
  afterAll(() => stack.disposeAsync())
  const connect = () => createClient({ baseUrl: service.origin })

  test('solves, and reads the episode by path', async () => {
    const client = connect()
    const solution = await client.solve({ question: QUESTION, strategy: 'greedy' })
    expect(solution).toMatchObject({ strategy: 'greedy', answer: expect.any(String) })
    const id = solution.episodeId!
    const { data } = await client.GET('/episodes/{id}', { params: { path: { id } } })
    expect(data).toMatchObject({ id, question: QUESTION })
  })

  test('yields the events of a search, the answer last', async () => {
    const events: SolveEvent[] = []
    for await (const event of connect().solveEvents({ question: QUESTION, seed: 1 })) events.push(event)
    expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['draft', 'answer']))
    const last = events.at(-1)!
    expect(last.event === 'answer' && last.data.reasoning.length).toBeGreaterThan(0)
  })

  test('a request with the key of an answered one gets its answer', async () => {
    const request = { question: QUESTION, strategy: 'greedy' } as const
    const options = { idempotencyKey: 'once' }
    const { id } = await connect().solve(request, options)
    const events: SolveEvent[] = []
    for await (const event of connect().solveEvents(request, options)) events.push(event)
    expect(events).toMatchObject([{ event: 'answer', data: { id } }])
    expect((await connect().solve(request)).id).not.toBe(id)
  })

  test('leaving the loop ends the request', async () => {
    const search = { question: QUESTION, learn: false, strategy: 'latentseek', seed: 1 } as const
    for await (const { event } of connect().solveEvents(search)) {
      expect(event).not.toBe('answer')
      break
    }
    const metrics = async () => (await fetch(`${service.origin}/metrics`)).text()
    await expect.poll(metrics).toMatch(/status="499"/)
  })

  test('throws the problem of the server, before a stream and without one', async () => {
    const client = connect()
    const request = { question: QUESTION, samples: 0 }
    const refused = { status: 400, problem: { code: 'REQUEST_INVALID' }, retryAfterSeconds: null }
    await expect(client.solve(request)).rejects.toMatchObject(refused)
    await expect(client.solveEvents(request).next()).rejects.toMatchObject(refused)
    const { error } = await client.GET('/episodes/{id}', {
      params: { path: { id: '0199aaaa-0000-7000-8000-000000000000' } },
    })
    expect(error).toMatchObject({ code: 'EPISODE_NOT_FOUND' })
  })

  test('a stream that breaks off is an error, not an end', async () => {
    const broken = createClient({
      baseUrl: service.origin,
      fetch: async () =>
        new Response('event: retrieval\ndata: {"retrieved":[]}\n\n', {
          headers: { 'content-type': 'text/event-stream' },
        }),
    })
    const events = broken.solveEvents({ question: QUESTION })
    expect(await events.next()).toMatchObject({ value: { event: 'retrieval' } })
    await expect(events.next()).rejects.toThrow(CircadianError)
  })

  test('an abort ends the call', async () => {
    const signal = AbortSignal.abort()
    await expect(connect().solve({ question: QUESTION }, { signal })).rejects.toMatchObject({
      name: 'AbortError',
    })
  })

  test('an answer that is no problem is an error with its status', async () => {
    const proxy = createClient({
      baseUrl: service.origin,
      fetch: async () =>
        new Response('<h1>Bad gateway</h1>', { status: 502, headers: { 'retry-after': '3' } }),
    })
    await expect(proxy.solve({ question: QUESTION })).rejects.toMatchObject({
      status: 502,
      problem: null,
      retryAfterSeconds: 3,
    })
  })
})
