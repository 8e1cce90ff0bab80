/** @file Records every call of an operator and every deletion, whether it succeeded or not: in the log and in the database. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { coerceError } from '#errors'
import type { AuditStore } from '#keys'
import { callerAddress } from './caller-address.ts'

/**
 * Logs `audit: true` with action, tenant, target, caller, id of the key and status, after the response to every request
 * under `/admin` and every deletion, and `force` for an activation; stores the same. The logger of the request adds its
 * id. Calls that are refused before their caller is known are logged only: anybody could fill the table with them.
 *
 * @param store if omitted, calls are logged only
 */
export function auditRequests(app: FastifyInstance, store?: Pick<AuditStore, 'record'>): void {
  const storing = new Set<Promise<void>>()

  app.addHook('onResponse', async (request, reply) => {
    const { url, schema } = request.routeOptions
    if (url === undefined || !(url.startsWith('/admin') || request.method === 'DELETE')) return
    const action = String(schema?.['operationId'] ?? `${request.method} ${url}`)
    const entry = {
      action,
      target: targetOf(request, reply),
      caller: callerAddress(request),
      status: reply.statusCode,
    }
    const { tenantId, keyId, id: requestId } = request
    const force = action === 'activateArtifact' ? isForced(request) : null
    request.log.info(
      { audit: true, ...entry, tenant: tenantId, key: keyId, ...(force !== null && { force }) },
      'audit',
    )
    const isKnown = (request.scopes ?? []).length > 0
    if (store === undefined || !isKnown) return
    const stored = store.record({ ...entry, tenantId, keyId, force, requestId }).catch((thrown: unknown) => {
      request.log.error({ err: coerceError(thrown), action }, 'audit: call not stored, this log has it alone')
    })
    storing.add(stored)
    await stored
    storing.delete(stored)
  })

  app.addHook('onClose', async () => {
    await Promise.all(storing)
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
