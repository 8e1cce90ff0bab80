/**
 * @file Determines the id and the response media type of every request before its route runs.
 */

import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'
import { shorten } from './shorten.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Media type to answer in, one of the route's `produces`; empty if the route declares none. */
    acceptedType: string
  }
  interface FastifyContextConfig {
    /** Media types of a successful response, preferred first. */
    produces?: readonly string[]
  }
}

/** Returns the caller's `x-request-id` if it is safe to log and to echo, otherwise a new id. */
export function createRequestId(request?: Pick<IncomingMessage, 'headers'>): string {
  const given = request?.headers['x-request-id']
  return typeof given === 'string' && /^[0-9A-Za-z_.-]{1,64}$/.test(given) ? given : randomUUID()
}

/**
 * Adds `acceptedType` to requests.
 *
 * @throws ServiceError NOT_ACCEPTABLE, before the body is read
 */
export function decorateRequests(app: FastifyInstance): void {
  app.decorateRequest('acceptedType', '')

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    const { produces } = request.routeOptions.config
    if (produces === undefined) return
    const mediaType = negotiate(request.headers.accept, produces)
    if (mediaType === undefined) {
      throw new ServiceError(
        'NOT_ACCEPTABLE',
        `accept: expected ${produces.join(' or ')}, got ${shorten(String(request.headers.accept))}`,
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
 * Content negotiation (RFC 9110, section 12.5.1): selects the media type to answer with. The highest quality
 * wins, then the more specific range, then the earlier offer.
 *
 * @param accept value of the `Accept` header; if absent, any media type is acceptable.
 * @returns undefined if no offer is acceptable.
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

/**
 * Returns the most specific range that covers the offer; quality 0 if there is none or if it excludes the
 * offer.
 */
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
