/** @file Logs a line for every call of an operator and every deletion, whether it succeeded or not. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { callerAddress } from './caller-address.ts'

/**
 * Logs `audit: true` with action, tenant, target, caller, id of the key and status, after the response to every request
 * under `/admin` and every deletion, and `force` for an activation. The logger of the request adds its id.
 */
export function auditRequests(app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    const { url, schema } = request.routeOptions
    if (url === undefined || !(url.startsWith('/admin') || request.method === 'DELETE')) return
    request.log.info(
      {
        audit: true,
        action: schema?.['operationId'] ?? `${request.method} ${url}`,
        tenant: request.tenantId,
        target: targetOf(request, reply),
        caller: callerAddress(request),
        key: request.keyId,
        status: reply.statusCode,
        ...(schema?.['operationId'] === 'activateArtifact' && { force: isForced(request) }),
      },
      'audit',
    )
  })
}

/** Returns the id in the path, or else the path of the resource that was created; null for all of a kind. */
function targetOf({ params }: FastifyRequest, reply: FastifyReply): string | null {
  const { id } = params as { readonly id?: string }
  const created = reply.getHeader('location')
  return id?.slice(0, 64) ?? (typeof created === 'string' ? created : null)
}

/** True when the body asks for a forced activation, also when the request was refused. */
function isForced({ body }: FastifyRequest): boolean {
  return typeof body === 'object' && body !== null && 'force' in body && body.force === true
}
