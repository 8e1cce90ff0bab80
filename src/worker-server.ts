/** @file The health and the metrics of the worker process, over HTTP. */

import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '#database'
import { coerceError, ServiceError } from '#errors'
import type { Exposition } from '#http'
import type { Queues } from '#jobs'

const CHECK_TIMEOUT_MS = 2_000

export interface WorkerServerOptions {
  readonly host: string
  /** 0 picks any free port. */
  readonly port: number
  readonly database: Pick<Database, 'pool'>
  readonly queues: Pick<Queues, 'ping'>
  readonly expose: () => Promise<Exposition>
}

export interface WorkerServer {
  readonly origin: string
  close(): Promise<void>
}

/**
 * Serves `/livez`, `/readyz` and `/metrics`. `/readyz` is 503 while database or queue do not answer: without
 * either of them a worker can run no job.
 *
 * @throws ServiceError PORT_TAKEN; CONFIG_INVALID if the address does not belong to this machine
 */
export async function startWorkerServer({
  host,
  port,
  database,
  queues,
  expose,
}: WorkerServerOptions): Promise<WorkerServer> {
  const routes: Readonly<Record<string, (response: ServerResponse) => Promise<void>>> = {
    '/livez': async (response) => send(response, 200, { status: 'ok' }),
    '/readyz': async (response) => {
      const [isDatabaseUp, isQueueUp] = await Promise.all([
        answers(() => database.pool.query('select 1')),
        answers(() => queues.ping()),
      ])
      const isReady = isDatabaseUp && isQueueUp
      const checks = { database: { ok: isDatabaseUp }, queue: { ok: isQueueUp } }
      send(response, isReady ? 200 : 503, { status: isReady ? 'ready' : 'unready', checks })
    },
    '/metrics': async (response) => {
      const { contentType, text } = await expose()
      response.writeHead(200, { 'content-type': contentType }).end(text)
    },
  }
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? ''
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const route = isRead && Object.hasOwn(routes, path) ? routes[path] : undefined
    if (route === undefined) return send(response, 404, { status: 'not found' })
    route(response).catch(() => send(response, 500, { status: 'failed' }))
  })
  server.listen({ host, port })
  try {
    await once(server, 'listening')
  } catch (thrown) {
    throw listenError(coerceError(thrown), `${host}:${port}`)
  }
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    origin: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  const answered = new AbortController()
  const late = delay(CHECK_TIMEOUT_MS, false, { signal: answered.signal })
  try {
    return await Promise.race([ask().then(() => true), late])
  } catch {
    return false
  } finally {
    answered.abort()
    late.catch(() => {})
  }
}

function listenError(cause: Error, where: string): ServiceError {
  if ('code' in cause && cause.code === 'EADDRINUSE') {
    return new ServiceError(
      'PORT_TAKEN',
      `listen on ${where}: expected a free port, got one in use; set WORKER_PORT`,
      { cause },
    )
  }
  return new ServiceError(
    'CONFIG_INVALID',
    `listen on ${where}: expected an address of this machine, got ${cause.message}; set HOST and WORKER_PORT`,
    { cause },
  )
}
