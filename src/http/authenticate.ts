/** @file Determines the caller of every request, and with it the tenant, before the body is read. */

import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { hasCode, ServiceError } from '#errors'
import { ANYBODY, type Authenticate, type KeyLimits, type Scope } from '#keys'
import { refusals } from './responses.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Tenant whose episodes this request reads and writes. Set only in this file. */
    tenantId: string
    /** Id of the API key; null for a request without one. Set only in this file. */
    keyId: string | null
    /** Scopes of the caller; none on a route that is open to all. Set only in this file. */
    scopes: readonly Scope[]
    /** Limits of the key. Set only in this file. */
    limits: KeyLimits
  }
  interface FastifyContextConfig {
    /** Scope that the route needs; `any`: a key is enough. Routes without one are open to all. */
    scope?: Scope | 'any'
  }
}

/** Runs work whose statements reach rows of one tenant only. */
export type AsTenant = <T>(tenantId: string, work: () => T) => T

/** Name of the security scheme in the contract. */
export const API_KEY = 'apiKey'

/**
 * Adds `tenantId`, `keyId` and `scopes` to requests, and security, 401 and 403 to the contract of every route with a
 * scope.
 *
 * @param authenticate unless given, every caller belongs to the tenant `default` and has all scopes
 * @param asTenant runs the handlers of all routes but those of operators, who reach all tenants
 * @throws ServiceError KEY_INVALID, SCOPE_MISSING, STORE_UNAVAILABLE, before the body is read
 */
export function authenticateRequests(
  app: FastifyInstance,
  authenticate: Authenticate = async () => ANYBODY,
  asTenant: AsTenant = (_tenantId, work) => work(),
): void {
  app.decorateRequest('tenantId', ANYBODY.tenantId)
  app.decorateRequest('keyId', null)
  app.decorateRequest('scopes')
  app.decorateRequest('limits')

  app.addHook('onRoute', (route) => {
    const { url, config, schema, handler } = route
    if (config?.scope === undefined || schema === undefined) return
    if (config.scope !== 'admin')
      route.handler = function (request, reply) {
        return asTenant(request.tenantId, () => handler.call(this, request, reply))
      }
    // Without keys, callers need none.
    schema.security = [{ [API_KEY]: config.scope === 'any' ? [] : [config.scope] }, {}]
    const statuses = config.scope === 'any' ? ([401] as const) : ([401, 403] as const)
    schema.response = { ...refusals(url, ...statuses), ...(schema.response as object) }
  })

  app.addHook('onRequest', async (request, reply) => {
    const { scope } = request.routeOptions.config
    request.scopes = []
    request.limits = ANYBODY.limits
    if (scope === undefined) return
    try {
      const caller = await authenticate(bearerKey(request.headers), scope === 'any' ? null : scope)
      request.tenantId = caller.tenantId
      request.keyId = caller.keyId
      request.scopes = caller.scopes
      request.limits = caller.limits
    } catch (error) {
      // RFC 9110, section 11.6.1; RFC 6750, section 3.
      if (hasCode(error, 'KEY_INVALID')) reply.header('www-authenticate', 'Bearer')
      throw error
    }
  })
}

/** Checks a scope that a field of the body needs. @throws ServiceError SCOPE_MISSING */
export function expectScope({ scopes }: FastifyRequest, scope: Scope, field: string): void {
  if (scopes.includes(scope)) return
  throw new ServiceError(
    'SCOPE_MISSING',
    `body/${field}: expected an API key with the scope ${scope}, got ${scopes.join(', ')}`,
  )
}

/** Returns the token of `Authorization: Bearer`; null without the header. Another scheme gives an invalid key. */
export function bearerKey({ authorization }: IncomingHttpHeaders): string | null {
  if (authorization === undefined) return null
  return /^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? ''
}
