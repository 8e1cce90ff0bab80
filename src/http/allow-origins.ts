/** @file Lets pages of the origins in `CORS_ORIGINS` call the API and read its responses. */

import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'

/** Response headers that a page may read, besides those that every page may. */
const EXPOSED = [
  'location',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'x-episode-id',
  'x-request-id',
] as const
/** Time, in seconds, for which a browser keeps the answer to a preflight. */
const PREFLIGHT_SECONDS = 600

/**
 * Answers preflights and sends the headers of CORS; does nothing without origins. Must be called after the hooks that
 * refuse a foreign `Host` and before the routes are collected: its route for every `OPTIONS` is no path of the contract.
 */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return
  const options = {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: [...EXPOSED],
    maxAge: PREFLIGHT_SECONDS,
    // An OPTIONS request that is no preflight is answered without a body, not with a text.
    strictPreflight: false,
  }
  // Called instead of registered: a registered plugin would add its hook behind that which asks for a key.
  cors(app, options, (error?: Error) => {
    if (error !== undefined) throw error
  })
}
