/** @file Answers unknown paths (404) and unknown methods of known paths (405). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '#errors'
import { shorten } from './shorten.ts'

/**
 * Answers requests without a route before their body is read. Must be called before the routes are added,
 * because it collects them. A 405 has an `Allow` header.
 */
export function refuseUnknownRoutes(app: FastifyInstance): void {
  const methodsByPath = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>()

  app.addHook('onRoute', ({ url, method }) => {
    const known = methodsByPath.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() }
    for (const name of [method].flat()) known.methods.add(name)
    methodsByPath.set(url, known)
  })

  const refuse = (request: FastifyRequest, reply: FastifyReply): never => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = [...methodsByPath.values()].filter(({ pattern }) => pattern.test(path))
    if (allowed.length === 0)
      throw new ServiceError('ROUTE_NOT_FOUND', `routing: expected the path of a route, got ${shorten(path)}`)
    // A path may fit several routes: `/episodes/map` is also an `/episodes/:id`.
    const methods = [...new Set(allowed.flatMap(({ methods }) => [...methods]))].sort()
    if (methods.includes(request.method))
      throw new ServiceError('ROUTE_NOT_FOUND', `routing: expected an existing file, got ${shorten(path)}`)
    reply.header('allow', methods.join(', '))
    throw new ServiceError(
      'METHOD_NOT_ALLOWED',
      `routing: expected ${methods.join(' or ')} at ${shorten(path)}, got ${request.method}`,
    )
  }

  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) refuse(request, reply)
  })
  // Called by the route of the documentation's files for a file that does not exist.
  app.setNotFoundHandler(refuse)
}

/** Converts a route such as `/episodes/:id` into a pattern for paths. */
function patternOf(url: string): RegExp {
  const source = url.split('/').map((part) => {
    if (part === '*') return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replaceAll('.', '\\.')
  })
  return new RegExp(`^${source.join('/')}$`)
}
