/** @file Schemas of `GET /admin/audit`. */

import { Type } from 'typebox'
import { closed, Nullable } from './primitives.ts'

export const AuditQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100 })),
    before: Type.Optional(
      Type.String({ pattern: '^[0-9]{1,18}$', description: '`id` of the last call of the page before.' }),
    ),
  },
  closed,
)

export const AuditList = Type.Object(
  {
    calls: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          at: Type.String({ format: 'date-time' }),
          tenantId: Type.String(),
          keyId: Nullable(Type.String({ description: 'Id of the API key; null for a caller without one.' })),
          caller: Type.String({ description: 'Address of the caller.' }),
          action: Type.String({ description: '`operationId` of the call in this contract.' }),
          target: Nullable(
            Type.String({ description: 'Id or path of what the call was about; null for all of a kind.' }),
          ),
          force: Nullable(
            Type.Boolean({ description: 'Whether an activation was forced; null for other calls.' }),
          ),
          status: Type.Integer({ description: 'Status of the response.' }),
          requestId: Type.String(),
        },
        { title: 'AuditedCall' },
      ),
    ),
  },
  { $id: 'AuditList', description: 'Calls of operators and deletions, newest first.' },
)
