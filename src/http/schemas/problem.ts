/** @file Schema of error responses (RFC 9457). */

import { Type } from 'typebox'

const Fault = Type.Object({
  pointer: Type.String({
    description: 'JSON pointer to the fault: into the body, or `/` and the name of a query parameter.',
  }),
  detail: Type.String(),
})

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'URN of the problem type; docs/errors.md lists them.' }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    code: Type.String({
      description: 'Short, stable code of the problem type. Programs should switch on this field.',
    }),
    detail: Type.Optional(
      Type.String({ description: 'Explanation of this occurrence; absent in every 5xx.' }),
    ),
    instance: Type.String({
      description: 'Id of the request, as in the `x-request-id` header and in the logs.',
    }),
    errors: Type.Optional(Type.Array(Fault)),
  },
  {
    $id: 'Problem',
    description: 'An error response (RFC 9457).',
    examples: [
      {
        type: 'urn:circadian:problem:request-invalid',
        title: 'The request is not valid.',
        status: 400,
        code: 'REQUEST_INVALID',
        detail: 'body/samples: expected a number >= 1',
        instance: '493c9505-1807-41b7-9f72-5d5ee4be827e',
        errors: [{ pointer: '/samples', detail: 'expected a number >= 1' }],
      },
    ],
  },
)
