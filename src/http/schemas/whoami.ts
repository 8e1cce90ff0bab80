/** @file Schema of the caller of a request. */

import { Type } from 'typebox'
import { SCOPES } from '#keys'
import { Id, Nullable, OneOf } from './primitives.ts'

export const Caller = Type.Object(
  {
    keyId: { ...Nullable(Id), description: 'Id of the API key; null while the server needs none.' },
    tenantId: Type.String({ description: 'Tenant whose episodes the caller reads and writes.' }),
    scopes: Type.Array(OneOf(SCOPES), { description: 'What the caller may do.' }),
  },
  {
    $id: 'Caller',
    description: 'The caller of a request, as the server knows it.',
    examples: [{ keyId: null, tenantId: 'default', scopes: [...SCOPES] }],
  },
)
