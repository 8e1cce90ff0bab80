/** @file `/console`: the page of the service, as files that a build script made. */

import type { FastifyReply, FastifyRequest } from 'fastify'
import { CONSOLE_POLICY } from '../security-headers.ts'
import type { App } from '../type-provider.ts'

/** A file that is sent as it is. */
export interface StaticFile {
  /** Path of its address, such as `/console/console.js`. */
  readonly path: string
  readonly contentType: string
  readonly body: Buffer
  /** The body, compressed with gzip. */
  readonly gzip: Buffer
  /** Validator, in quotes: weak, because the body has two encodings. */
  readonly etag: string
}

/**
 * Adds a route for each file. Browsers ask at every visit whether a file has changed, so that page and script always
 * belong together; the answer is then a 304. The files are public: the page asks for a key before it calls the API.
 */
export function consoleRoutes(app: App, files: readonly StaticFile[]): void {
  for (const file of files)
    app.route({
      // One route for both: fastify's own route for HEAD gives a 304 a length of 0, which the 200 does not have.
      method: ['GET', 'HEAD'],
      url: file.path,
      schema: { hide: true },
      handler: async (request, reply) => sendFile(file, request, reply),
    })
  if (files.length === 0) return
  // Relative, so that a proxy may put the service below a path.
  app.get('/console/', { schema: { hide: true } }, async (_request, reply) =>
    reply.redirect('../console', 308),
  )
}

function sendFile(
  { contentType, body, gzip, etag }: StaticFile,
  { headers }: FastifyRequest,
  reply: FastifyReply,
) {
  reply
    .header('content-security-policy', CONSOLE_POLICY)
    .header('cache-control', 'no-cache')
    // That of CORS stays.
    .header('vary', [reply.getHeader('vary') ?? [], 'accept-encoding'].flat().join(', '))
    .header('etag', `W/${etag}`)
  const known = headers['if-none-match']?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? []
  if (known.includes(etag) || known.includes('*')) return reply.code(304).send()
  reply.type(contentType)
  if (!/\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(String(headers['accept-encoding'] ?? '')))
    return reply.send(body)
  return reply.header('content-encoding', 'gzip').send(gzip)
}
