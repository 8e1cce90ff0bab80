/** @file What every request knows about itself before a route sees it: its tenant and the media type to answer in. */

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'

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

/** The caller's `x-request-id` when it is harmless to log and to echo, else a new one. */
export function createRequestId(request?: Pick<IncomingMessage, 'headers'>): string {
  const given = request?.headers['x-request-id']
  return typeof given === 'string' && /^[0-9A-Za-z_.-]{1,64}$/.test(given) ? given : randomUUID()
}

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

interface MediaRange {
  readonly type: string
  readonly quality: number
}

/**
 * The media type to answer with: the best quality wins, then the more explicit range, then the earlier offer.
 *
 * @param accept the header, absent when anything will do.
 * @returns undefined when no offer is acceptable.
 */
export function negotiate(accept: string | undefined, offers: readonly string[]): string | undefined {
  if (accept === undefined || accept.trim() === '') return offers[0]
  const ranges = accept.split(',').map(parseRange)
  let best: { offer: string; quality: number; precision: number } | undefined
  for (const offer of offers) {
    const match = matchOf(ranges, offer)
    if (match.quality === 0) continue
    if (
      best === undefined ||
      match.quality > best.quality ||
      (match.quality === best.quality && match.precision > best.precision)
    ) {
      best = { offer, ...match }
    }
  }
  return best?.offer
}

/** The most explicit range that covers the offer; quality 0 when none does, or when it is refused. */
function matchOf(ranges: readonly MediaRange[], offer: string): { quality: number; precision: number } {
  const family = `${offer.split('/', 1)[0]}/*`
  for (const [index, pattern] of [offer, family, '*/*'].entries()) {
    const range = ranges.find(({ type }) => type === pattern)
    if (range !== undefined) return { quality: range.quality, precision: -index }
  }
  return { quality: 0, precision: -3 }
}

function parseRange(text: string): MediaRange {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
  const quality = weight === undefined ? 1 : Number(weight)
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 }
}
