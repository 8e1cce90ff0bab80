/** @file Responses that are not streams, and whose clients read slowly or not at all, or never close. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listen, QUESTION, SOLUTION, scriptedSolver, unverifiedApp } from '../../support/http-app.ts'
import { open } from '../../support/raw-http.ts'

const STALL_MS = 1_000
/** More than the buffers of both ends hold. */
const BYTES = 2 ** 25

const { solver } = scriptedSolver(async ({ question }) => {
  if (question === QUESTION) return { ...SOLUTION, text: 'x'.repeat(BYTES) }
  if (question === 'slow') await sleep(1.5 * STALL_MS)
  return SOLUTION
})
const app = unverifiedApp({ solver, limits: { stallMs: STALL_MS } })
const accepted: Socket[] = []
let port = 0

beforeAll(async () => {
  app.server.on('connection', (socket: Socket) => void accepted.push(socket))
  port = (await listen(app)).port
}, 60_000)
afterAll(() => app.close())

const BODIES = {
  '/solve': { question: QUESTION },
  '/v1/chat/completions': { model: 'circadian/auto', messages: [{ role: 'user', content: QUESTION }] },
}

/** Asks on a connection of its own. Returns both ends of it. */
async function ask(path: keyof typeof BODIES, connection = 'keep-alive') {
  const client = await open(port)
  client.pause()
  const body = JSON.stringify(BODIES[path])
  const headers = `host: 127.0.0.1:${port}\r\ncontent-type: application/json\r\nconnection: ${connection}`
  client.write(`POST ${path} HTTP/1.1\r\n${headers}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  const server = accepted.find(({ remotePort }) => remotePort === client.localPort)!
  return { client, server }
}

test.each([
  ['/solve', 'keep-alive'],
  ['/solve', 'close'],
  ['/v1/chat/completions', 'keep-alive'],
] as const)(
  'a client that never reads its answer of %s (%s) loses the connection',
  async (path, connection) => {
    const { client, server } = await ask(path, connection)
    const startedAt = performance.now()
    await once(server, 'close')
    expect(performance.now() - startedAt).toBeGreaterThan(STALL_MS / 2)
    client.destroy()
  },
)

test('a client that reads slowly gets the whole answer, and may ask again', async () => {
  const { client, server } = await ask('/solve')
  let read = 0
  let pauses = 0
  const startedAt = performance.now()
  client.on('data', (chunk: Buffer) => {
    read += chunk.length
    if (read < (pauses + 1) * (BYTES / 16)) return
    pauses += 1
    client.pause()
    setTimeout(() => client.resume(), STALL_MS / 12)
  })
  client.resume()
  await expect.poll(() => read, { timeout: 20_000 }).toBeGreaterThan(BYTES)
  expect(performance.now() - startedAt).toBeGreaterThan(STALL_MS)
  // Between two requests a connection stays as long as any other.
  await sleep(1.2 * STALL_MS)
  expect(server.destroyed).toBe(false)
  client.write(`GET /livez HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`)
  const before = read
  await expect.poll(() => read).toBeGreaterThan(before)
  client.destroy()
})

test('a pipelined request may take longer than that', async () => {
  const client = await open(port)
  const send = (question: string) => {
    const body = JSON.stringify({ question })
    const headers = `host: 127.0.0.1:${port}\r\ncontent-type: application/json`
    return `POST /solve HTTP/1.1\r\n${headers}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  }
  let text = ''
  client.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  client.write(send('quick') + send('slow'))
  await expect.poll(() => text.match(/HTTP\/1\.1 200 /g), { timeout: 20_000 }).toHaveLength(2)
  client.destroy()
})

test('a client that sends no HTTP and never closes loses the connection', async () => {
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  client.on('error', () => {})
  await once(client, 'connect')
  client.write('no HTTP\r\n\r\n')
  const [answer] = (await once(client, 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1.1 400 /)
  const server = accepted.find(({ remotePort }) => remotePort === client.localPort)!
  if (!server.destroyed) await once(server, 'close')
  client.destroy()
})
