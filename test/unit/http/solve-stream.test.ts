/** @file `POST /solve` as server-sent events, over real sockets. */

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { ServiceError } from '#errors'
import type { SolveEvent } from '#solving'
import { listen, QUESTION, type Script, SOLUTION, scriptedSolver, testApp } from '../../support/http-app.ts'
import { open } from '../../support/raw-http.ts'

const apps: ReturnType<typeof testApp>[] = []
async function start(script: Script, limits: NonNullable<Parameters<typeof testApp>[0]>['limits'] = {}) {
  const app = testApp({ solver: scriptedSolver(script).solver, limits })
  apps.push(app)
  return listen(app)
}
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()))
})

function post(url: string, init: RequestInit = {}) {
  return fetch(`${url}/solve`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ question: QUESTION }),
    ...init,
  })
}

const REQUEST = [
  'POST /solve HTTP/1.1',
  'host: localhost',
  'content-type: application/json',
  'accept: text/event-stream',
  'content-length: 16',
  '',
  '{"question":"x"}',
].join('\r\n')

/** Parses the event blocks of a stream; comments become `{ comment }`. */
function parseStream(text: string) {
  return text
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => {
      if (block.startsWith(':')) return { comment: block.slice(1).trim() }
      const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? []
      return { event, data: JSON.parse(data ?? '') }
    })
}

const EVENTS: SolveEvent[] = [
  { event: 'retrieval', data: { retrieved: SOLUTION.retrieved } },
  { event: 'draft', data: { answer: null, reasoning: 'left :\n 6 + 4', reward: -0.97 } },
  { event: 'iteration', data: { step: 1, reward: -0.97, changed: false, answer: null } },
  {
    event: 'candidate',
    data: {
      kind: 'regeneration',
      text: 'left :\n ans 1',
      answer: '1',
      reward: -0.04,
      rewardTerms: {},
      logProbability: -0.1,
      selfCertainty: null,
      confidence: 0.9,
      lrm: null,
      tokens: 41,
    },
  },
  { event: 'iteration', data: { step: 2, reward: -0.04, changed: true, answer: '1' } },
]

test('sends every event in order, and finally the body of the JSON response', async () => {
  const { url } = await start(async (_request, { onEvent }) => {
    for (const event of EVENTS) {
      onEvent?.(event)
      await sleep(1)
    }
    return { ...SOLUTION, latentsOfOthers: 'secret' } as never
  })
  const response = await post(url)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  expect(parseStream(await response.text())).toEqual([...EVENTS, { event: 'answer', data: SOLUTION }])
})

test('sends an event when it happens, before the answer is ready', async () => {
  const finish = Promise.withResolvers<typeof SOLUTION>()
  const { url } = await start((_request, { onEvent }) => {
    onEvent?.(EVENTS[0] as SolveEvent)
    return finish.promise
  })
  const reader = (await post(url)).body?.getReader()
  const first = await reader?.read()
  expect(new TextDecoder().decode(first?.value)).toContain('event: retrieval')
  finish.resolve(SOLUTION)
  let rest = ''
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
    rest += new TextDecoder().decode(part.value)
  }
  expect(parseStream(rest).map(({ event }) => event)).toEqual(['answer'])
})

test('answers an error before the first event with its own status', async () => {
  const { url } = await start(async () => {
    throw new ServiceError('ENGINE_OVERLOADED', 'admit: expected at most 256 waiting', {
      retryAfterSeconds: 2.2,
    })
  })
  const response = await post(url)
  expect(response.status).toBe(503)
  expect(response.headers.get('retry-after')).toBe('3')
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(await response.json()).toMatchObject({ code: 'ENGINE_OVERLOADED', status: 503 })
})

test('sends a later error as an error event that leaks nothing', async () => {
  const { url } = await start(async (_request, { onEvent }) => {
    onEvent?.(EVENTS[0] as SolveEvent)
    throw new Error('password=hunter2 at /home/secret')
  })
  const response = await post(url)
  const body = await response.text()
  expect(body).not.toContain('hunter2')
  expect(parseStream(body).at(-1)).toEqual({
    event: 'error',
    data: {
      type: 'urn:circadian:problem:internal',
      title: 'Something went wrong on our side.',
      status: 500,
      code: 'INTERNAL',
      instance: response.headers.get('x-request-id'),
    },
  })
})

test('refuses a bad body before it becomes a stream', async () => {
  const { url } = await start(async () => SOLUTION)
  const response = await post(url, { body: '{}' })
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ errors: [{ pointer: '/question' }] })
})

test('prefers JSON by default, and the stream if the caller names it', async () => {
  const { url } = await start(async () => SOLUTION)
  const typeFor = async (accept: string) => {
    const response = await post(url, { headers: { 'content-type': 'application/json', accept } })
    await response.text()
    return response.headers.get('content-type')?.split(';')[0]
  }
  expect(await typeFor('*/*')).toBe('application/json')
  expect(await typeFor('application/json, text/event-stream')).toBe('application/json')
  expect(await typeFor('text/event-stream, */*')).toBe('text/event-stream')
  expect(await typeFor('text/event-stream;q=0.5, application/json;q=0.4')).toBe('text/event-stream')
})

test('keeps a silent stream alive with comments, also before the first event', async () => {
  const { url } = await start(
    async () => {
      await sleep(500)
      return SOLUTION
    },
    { heartbeatMs: 25 },
  )
  const blocks = parseStream(await (await post(url)).text())
  expect(blocks.filter(({ comment }) => comment === 'heartbeat').length).toBeGreaterThanOrEqual(2)
  expect(blocks.at(-1)).toEqual({ event: 'answer', data: SOLUTION })
})

test.each(['text/event-stream', 'application/json'])(
  'cancels the solve when the caller of %s disconnects',
  async (accept) => {
    const started = Promise.withResolvers<AbortSignal>()
    const { url } = await start(async (_request, { signal }) => {
      started.resolve(signal)
      await once(signal, 'abort')
      throw new ServiceError('ABORTED', 'solve: cancelled')
    })
    const caller = new AbortController()
    const response = post(url, {
      signal: caller.signal,
      headers: { 'content-type': 'application/json', accept },
    })
    const signal = await started.promise
    expect(signal.aborted).toBe(false)
    caller.abort()
    await expect(response).rejects.toThrow()
    await vi.waitFor(() => expect(signal.aborted).toBe(true))
  },
)

test('cancels the solve when the caller disconnects in the middle of a stream', async () => {
  const started = Promise.withResolvers<AbortSignal>()
  const { port } = await start(async (_request, { signal, onEvent }) => {
    onEvent?.(EVENTS[0] as SolveEvent)
    started.resolve(signal)
    await once(signal, 'abort')
    onEvent?.(EVENTS[1] as SolveEvent)
    throw new ServiceError('ABORTED', 'solve: cancelled')
  })
  const socket = await open(port)
  socket.write(REQUEST)
  const signal = await started.promise
  await once(socket, 'data')
  socket.destroy()
  await vi.waitFor(() => expect(signal.aborted).toBe(true))
})

test('closes the connection of a client that stops reading, and cancels the solve', async () => {
  const outcome = Promise.withResolvers<number>()
  const { port } = await start(
    async (_request, { signal, onEvent }) => {
      let sent = 0
      // Sends more than the socket buffers of both ends hold.
      while (!signal.aborted && sent < 200) {
        onEvent?.({ event: 'draft', data: { answer: null, reasoning: 'x'.repeat(2 ** 18), reward: -1 } })
        sent += 1
        await sleep(5)
      }
      outcome.resolve(sent)
      throw new ServiceError('ABORTED', 'solve: cancelled')
    },
    { stallMs: 100, heartbeatMs: 10 },
  )
  const socket = await open(port)
  socket.pause()
  socket.write(REQUEST)
  expect(await outcome.promise).toBeLessThan(200)
  socket.destroy()
})

test('waits for a client that reads slowly, without a limit on the total time', async () => {
  const size = 2 ** 16
  const count = 160
  const stallMs = 500
  const { port } = await start(
    async (_request, { onEvent }) => {
      for (let step = 0; step < count; step += 1) {
        onEvent?.({ event: 'draft', data: { answer: null, reasoning: 'x'.repeat(size), reward: -1 } })
      }
      return SOLUTION
    },
    { stallMs, heartbeatMs: 10, queuedBytes: 2 * count * size },
  )
  const started = performance.now()
  const socket = await open(port)
  socket.write(REQUEST)
  let bytes = 0
  let tail = ''
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    tail = (tail + chunk.toString('latin1')).slice(-5_000)
    socket.pause()
    setTimeout(() => socket.resume(), 10)
  })
  await vi.waitFor(() => expect(tail.includes('event: answer')).toBe(true), { timeout: 20_000, interval: 50 })
  expect(bytes).toBeGreaterThan(count * size)
  expect(performance.now() - started).toBeGreaterThan(2 * stallMs)
  socket.destroy()
}, 30_000)
