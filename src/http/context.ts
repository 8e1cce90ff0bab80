/** @file What every request knows about itself before a route sees it: its tenant and the media type to answer in. */

import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'
import { negotiate } from './accept.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose memory this request reads and writes. Bound here and nowhere else. */
    tenantId: string
    /** Which of the route's media types the caller asked for; empty when the route does not say what it produces. */
    acceptedType: string
  }
  interface FastifyContextConfig {
    /** Media types of a successful answer, best first. */
    produces?: readonly string[]
  }
}

/** Everybody's, as long as there are no API keys. */
const DEFAULT_TENANT = 'default'

/** Decorates requests. @throws ServiceError NOT_ACCEPTABLE, before the body is read */
export function decorateRequests(app: FastifyInstance): void {
  app.decorateRequest('tenantId', DEFAULT_TENANT)
  app.decorateRequest('acceptedType', '')

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
    const { produces } = request.routeOptions.config
    if (produces === undefined) return
    const mediaType = negotiate(request.headers.accept, produces)
    if (mediaType === undefined) {
      throw new ServiceError(
        'NOT_ACCEPTABLE',
        `accept: expected ${produces.join(' or ')}, got ${request.headers.accept}`,
      )
    }
    request.acceptedType = mediaType
  })
}
