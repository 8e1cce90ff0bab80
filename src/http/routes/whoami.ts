/** @file `GET /whoami`: the caller of the request, so that a client can offer only what its key may do. */

import { json, problems } from '../responses.ts'
import { Caller } from '../schemas/whoami.ts'
import type { App } from '../type-provider.ts'

export function whoamiRoute(app: App): void {
  app.get(
    '/whoami',
    {
      config: { produces: ['application/json'], scope: 'any' },
      schema: {
        operationId: 'getCaller',
        summary: 'Read the tenant and the scopes of the API key',
        tags: ['service'],
        response: { 200: json('The caller.', Caller), ...problems(406) },
      },
    },
    async ({ keyId, tenantId, scopes }) => ({ keyId, tenantId, scopes: [...scopes] }),
  )
}
