/** @file Entries of a route's `response` schema. */

import { type TSchema, Type } from 'typebox'
import { Problem } from './schemas/problem.ts'
import { ref } from './schemas/ref.ts'

const DESCRIPTIONS = {
  400: 'The request is not valid; `errors` points at each fault.',
  404: 'There is nothing with this id.',
  406: 'The accepted media types cannot be served.',
  409: 'It is damaged, or belongs to another model.',
  413: 'The body is too large.',
  415: 'The body is not `application/json`.',
  422: 'The request is valid, but this model or this version cannot do it.',
  500: 'Something went wrong on our side.',
  503: 'Overloaded, shutting down, or something it needs is not there: try again after `Retry-After` seconds.',
} as const

/** A request without a body; one that comes along is still read, and may be refused. */
export const UNWANTED_BODY = [400, 413, 415] as const

const REQUEST_ID = { 'x-request-id': Type.String({ description: 'Id of the request, as in the logs.' }) }

/** A JSON answer. */
export function json(description: string, schema: TSchema, headers: Record<string, TSchema> = {}) {
  return {
    description,
    headers: { ...REQUEST_ID, ...headers },
    content: { 'application/json': { schema: ref(schema) } },
  }
}

/** An answer in plain text. */
export function text(description: string) {
  return { description, headers: REQUEST_ID, content: { 'text/plain': { schema: Type.String() } } }
}

/** Problem answers for the statuses that a route can end with; 500 and 503 belong to every route. */
export function problems(...statuses: (keyof typeof DESCRIPTIONS)[]) {
  return Object.fromEntries(
    [...statuses, 500 as const, 503 as const].map((status) => [status, problem(status)]),
  )
}

function problem(status: keyof typeof DESCRIPTIONS) {
  return {
    description: DESCRIPTIONS[status],
    ...(status === 503 && { headers: { 'retry-after': Type.Integer({ description: 'Seconds.' }) } }),
    content: { 'application/problem+json': { schema: ref(Problem) } },
  }
}
