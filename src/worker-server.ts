/** @file The health and the metrics of the worker process, over HTTP. */

import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { Database } from '#database'
import type { Exposition } from '#http'
import type { Queues } from '#jobs'
import { databaseFault, queueFault } from './health.ts'
import { listenError } from './listen.ts'

export interface WorkerServerOptions {
  readonly host: string
  /** 0 picks any free port. */
  readonly port: number
  readonly database: Pick<Database, 'check'>
  /** Returns the queues; null before they are opened. */
  readonly queues: () => Pick<Queues, 'ping'> | null
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
      const opened = queues()
      const [databaseDetail, queue] = await Promise.all([
        databaseFault(database),
        opened === null ? 'not opened yet' : queueFault(opened),
      ])
      const checks = { database: { ok: databaseDetail === null }, queue: { ok: queue === null } }
      const isReady = checks.database.ok && checks.queue.ok
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
    throw listenError(thrown, { host, port, variable: 'WORKER_PORT' })
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
