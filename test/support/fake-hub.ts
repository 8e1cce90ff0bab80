/** @file A hub on loopback with one repository, which can break off, corrupt and stall its answers. */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeHub {
  readonly endpoint: string
  /** Files of the repository by path; tests change them. */
  readonly files: Map<string, Uint8Array>
  /** Commit that every revision names. */
  commit: string
  /** Requests so far: `GET path`, with ` bytes=...` for a range. */
  readonly requests: string[]
  /** `Authorization` headers so far. */
  readonly tokens: (string | undefined)[]
  /** Ends the connection, or waits without end, when this many bytes of a file were sent. */
  cut: { readonly path: string; readonly bytes: number; readonly stall?: boolean } | null
  /** File whose content is sent with its first byte changed. */
  corrupt: string | null
  ignoresRanges: boolean
  [Symbol.asyncDispose](): Promise<void>
}

export const REPOSITORY = 'org/tiny-model'

/** @param files content by path; those of 1 KiB or more have an LFS digest, as on the hub */
export async function fakeHub(files: ReadonlyMap<string, Uint8Array>): Promise<FakeHub> {
  const server = createServer((request, response) => answer(hub, request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const hub: FakeHub = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files: new Map(files),
    commit: 'c0ffee0000000000000000000000000000000001',
    requests: [],
    tokens: [],
    cut: null,
    corrupt: null,
    ignoresRanges: false,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return hub
}

function answer(hub: FakeHub, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url!, hub.endpoint)
  const { range } = request.headers
  hub.requests.push(`GET ${pathname}${range === undefined ? '' : ` ${range}`}`)
  hub.tokens.push(request.headers.authorization)
  const api = `/api/models/${REPOSITORY}`
  if (pathname.startsWith(`${api}/revision/`)) {
    sendJson(response, 200, { _id: '1', id: REPOSITORY, sha: hub.commit, lastModified: '2024-01-01' })
  } else if (pathname === `${api}/tree/${hub.commit}`) {
    sendJson(response, 200, [...hub.files].map(describe))
  } else if (pathname.startsWith(`/${REPOSITORY}/resolve/${hub.commit}/`)) {
    const path = pathname.slice(`/${REPOSITORY}/resolve/${hub.commit}/`.length)
    sendFile(hub, path, range, response)
  } else sendJson(response, 404, { error: 'Repository not found' })
}

function describe([path, content]: [string, Uint8Array]) {
  const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
  const entry = { type: 'file', path, size: content.length, oid }
  if (content.length < 1024) return entry
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { ...entry, oid: '0'.repeat(40), lfs: { oid: sha256, size: content.length, pointerSize: 130 } }
}

function sendFile(hub: FakeHub, path: string, range: string | undefined, response: ServerResponse): void {
  const stored = hub.files.get(path)
  if (stored === undefined) {
    sendJson(response, 404, { error: 'Entry not found' })
    return
  }
  const content = hub.corrupt === path ? Uint8Array.from(stored).fill(0, 0, 1) : stored
  const isProbe = range === 'bytes=0-0'
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
  const isPart = range !== undefined && (isProbe || !hub.ignoresRanges)
  const body = isPart ? content.subarray(Number(from), Number(to) + 1) : content
  response.writeHead(isPart ? 206 : 200, {
    etag: '"1"',
    'content-length': body.length,
    ...(isPart && { 'content-range': `bytes ${from}-${to}/${content.length}` }),
  })
  if (hub.cut?.path !== path || isProbe || body.length <= hub.cut.bytes) {
    response.end(body)
    return
  }
  const { stall = false } = hub.cut
  response.write(body.subarray(0, hub.cut.bytes), () => {
    // Later, so that the client has read what was sent.
    if (!stall) setTimeout(() => response.destroy(), 100)
  })
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
