/** @file Shutdown: requests in flight finish, new requests are refused, connections are closed. */

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { listen, QUESTION, SOLUTION, scriptedSolver, testApp } from '../../support/http-app.ts'
import { open, parse } from '../../support/raw-http.ts'

/** Starts an app whose solver waits until `finish` is called. */
async function busyApp(draining?: () => boolean) {
  const started = Promise.withResolvers<void>()
  const finish = Promise.withResolvers<void>()
  const { solver } = scriptedSolver(async (_request, { onEvent }) => {
    onEvent?.({ event: 'retrieval', data: { retrieved: [] } })
    started.resolve()
    await finish.promise
    return SOLUTION
  })
  const app = testApp({ solver, ...(draining && { draining }) })
  const { port, url } = await listen(app)
  return { app, port, url, started: started.promise, finish: finish.resolve }
}

const solve = (url: string, accept = 'application/json') =>
  fetch(`${url}/solve`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify({ question: QUESTION }),
  })

test.each(['application/json', 'text/event-stream'])('close() waits for an answer as %s', async (accept) => {
  const { app, url, started, finish } = await busyApp()
  const answer = solve(url, accept).then(async (response) => ({
    status: response.status,
    text: await response.text(),
  }))
  await started
  let closed = false
  const closing = app.close().then(() => {
    closed = true
  })
  await sleep(60)
  expect(closed).toBe(false)
  finish()
  expect(await answer).toMatchObject({ status: 200, text: expect.stringContaining('"answer":"1"') })
  await closing
})

test('a request that arrives while closing is answered 503 with Retry-After, then its connection is closed', async () => {
  const { app, port, url, started, finish } = await busyApp()
  const answer = solve(url)
  await started
  const socket = await open(port)
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  // Starts before close(), so that the connection is not idle and stays open.
  socket.write('GET /episodes HTTP/1.1\r\nhost: localhost')
  await sleep(30)
  const closing = app.close()
  await sleep(30)
  socket.write('\r\n\r\n')
  await once(socket, 'close')
  const response = parse(Buffer.concat(received).toString())
  expect(response.status).toBe(503)
  expect(response.headers).toMatchObject({ 'retry-after': '5', connection: 'close' })
  expect(JSON.parse(response.body)).toMatchObject({ code: 'SHUTTING_DOWN' })
  await expect(fetch(`${url}/livez`)).rejects.toThrow()
  finish()
  expect((await answer).status).toBe(200)
  await closing
})

test('once draining, everything but /livez and /metrics is answered SHUTTING_DOWN', async () => {
  let draining = false
  const { app, url, started, finish } = await busyApp(() => draining)
  const answer = solve(url)
  await started
  draining = true
  for (const path of ['/readyz', '/episodes', '/docs', '/openapi.yaml', '/nowhere']) {
    const response = await fetch(url + path)
    expect(response.status, path).toBe(503)
    expect(response.headers.get('retry-after')).toBe('5')
    expect(response.headers.get('connection')).toBe('close')
    expect(await response.json()).toMatchObject({ code: 'SHUTTING_DOWN' })
  }
  for (const path of ['/livez', '/metrics']) {
    const response = await fetch(url + path)
    expect(response.status, path).toBe(200)
    await response.text()
  }
  finish()
  expect((await answer).status).toBe(200)
  await app.close()
})
