/** @file The health and the metrics of the worker process, over HTTP, guarded like the API. */

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Database } from '#database'
import { coerceError, ServiceError } from '#errors'
import { bearerKey, type Exposition, hostOf, type OwnHosts, ownHosts, replyWithoutFastify } from '#http'
import type { Queues } from '#jobs'
import type { Authenticate } from '#keys'
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
  /** Check of API keys: `/metrics` needs one with the scope `metrics` once there are keys. */
  readonly authenticate: Authenticate
  /** Further hosts that mean this server. */
  readonly allowedHosts: OwnHosts['allowedHosts']
}

export interface WorkerServer {
  readonly origin: string
  close(): Promise<void>
}

/**
 * Serves `/livez`, `/readyz` and `/metrics`. `/readyz` is 503 while database or queue do not answer: without
 * either of them a worker can run no job. A `Host` that does not mean this server is refused (DNS rebinding).
 *
 * @throws ServiceError PORT_TAKEN; CONFIG_INVALID if the address does not belong to this machine
 */
export async function startWorkerServer({
  host,
  port,
  database,
  queues,
  expose,
  authenticate,
  allowedHosts,
}: WorkerServerOptions): Promise<WorkerServer> {
  const isOwnHost = ownHosts({ listenHost: host, allowedHosts })
  const routes: Readonly<Record<string, Route>> = {
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
    '/metrics': async (response, { headers }) => {
      await authenticate(bearerKey(headers), 'metrics')
      const { contentType, text } = await expose()
      response.writeHead(200, { 'content-type': contentType }).end(text)
    },
  }
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? ''
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const route = isRead && Object.hasOwn(routes, path) ? routes[path] : undefined
    try {
      expectOwnHost(request, isOwnHost)
    } catch (error) {
      return fail(response, error)
    }
    if (route === undefined) return send(response, 404, { status: 'not found' })
    route(response, request).catch((error) => fail(response, error))
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

type Route = (response: ServerResponse, request: IncomingMessage) => Promise<void>

/** @throws ServiceError HOST_NOT_ALLOWED. A request of HTTP/1.0 without the header comes from no browser. */
function expectOwnHost({ headers: { host } }: IncomingMessage, isOwnHost: (name: string) => boolean): void {
  if (host === undefined) return
  const name = hostOf(host)
  if (name !== null && isOwnHost(name)) return
  throw new ServiceError(
    'HOST_NOT_ALLOWED',
    'host: expected an address of this server or a name in ALLOWED_HOSTS',
  )
}

/** Answers with a problem. An error that has begun an answer ends its connection. */
function fail(response: ServerResponse, thrown: unknown): void {
  if (response.headersSent) response.destroy()
  else replyWithoutFastify(response, coerceError(thrown))
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
