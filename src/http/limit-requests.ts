/** @file Applies the limits of API keys to the routes that run the model. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '#errors'
import type { Limiter, Quota } from '#keys'
import { refusals } from './responses.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether requests count against the limits of their key. */
    metered?: boolean
  }
  interface FastifyRequest {
    /** Counts the tokens of this request, prompt, answers and judging, once they are known. Never rejects. */
    spendTokens(tokens: number): Promise<void>
  }
}

/**
 * Counts every request to a metered route, and refuses those beyond the limits of their key before their body is
 * read. Sends `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) to keys with limits. Must
 * be called after `authenticateRequests`.
 *
 * @throws ServiceError RATE_LIMITED
 */
export function limitRequests(app: FastifyInstance, limiter: Limiter | undefined): void {
  app.decorateRequest('spendTokens', async function (this: FastifyRequest, tokens: number) {
    await limiter?.spend(this, tokens)
  })

  app.addHook('onRoute', ({ url, config, schema }) => {
    if (config?.metered && schema !== undefined)
      schema.response = { ...refusals(url, 429), ...(schema.response as object) }
  })

  app.addHook('onRequest', async (request, reply) => {
    if (limiter === undefined || !request.routeOptions.config.metered) return
    const { quotas, exceeded } = await limiter.take(request)
    sendQuotas(reply, quotas)
    if (exceeded === null) return
    const { name, limit, windowSeconds, resetSeconds } = exceeded
    throw new ServiceError(
      'RATE_LIMITED',
      `api key: expected at most ${limit} ${name} in ${windowSeconds} s, got more`,
      { retryAfterSeconds: resetSeconds },
    )
  })
}

function sendQuotas(reply: FastifyReply, quotas: readonly Quota[]): void {
  if (quotas.length === 0) return
  const list = (item: (quota: Quota) => string) => quotas.map(item).join(', ')
  reply
    .header(
      'ratelimit-policy',
      list(({ name, limit, windowSeconds }) => `"${name}";q=${limit};w=${windowSeconds}`),
    )
    .header(
      'ratelimit',
      list(({ name, remaining, resetSeconds }) => `"${name}";r=${remaining};t=${resetSeconds}`),
    )
}
