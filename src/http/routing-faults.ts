/** @file Requests for what is not there: unknown paths (404) and known paths with other methods (405). */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '#errors'

/**
 * Answers unroutable requests before their body is read. Register it before the routes: it learns them as they come.
 * A 405 carries `Allow`.
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
    if (allowed.length === 0) throw new ServiceError('ROUTE_NOT_FOUND', `routing: no route ${path}`)
    const methods = allowed.flatMap(({ methods }) => [...methods]).sort()
    if (methods.includes(request.method))
      throw new ServiceError('ROUTE_NOT_FOUND', `routing: nothing at ${path}`)
    reply.header('allow', methods.join(', '))
    throw new ServiceError(
      'METHOD_NOT_ALLOWED',
      `routing: expected ${methods.join(' or ')} at ${path}, got ${request.method}`,
    )
  }

  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) refuse(request, reply)
  })
  // A file that the documentation does not have, found out by its own route.
  app.setNotFoundHandler(refuse)
}

/** `/episodes/:id` as a pattern over paths. */
function patternOf(url: string): RegExp {
  const source = url.split('/').map((part) => {
    if (part === '*') return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replaceAll('.', '\\.')
  })
  return new RegExp(`^${source.join('/')}$`)
}
