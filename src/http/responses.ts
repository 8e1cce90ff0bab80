/** @file Builds the entries of a route's `response` schema. */

import { type TSchema, Type } from 'typebox'
import { isOpenAiUrl } from './openai/errors.ts'
import { OpenAIError } from './schemas/openai.ts'
import { Problem } from './schemas/problem.ts'
import { ref } from './schemas/ref.ts'

const DESCRIPTIONS = {
  400: 'The request is not valid; `errors` points at each fault.',
  401: 'The API key is missing, unknown or revoked.',
  403: 'A web page of another site made the request, or the API key lacks the scope.',
  404: 'No resource has this id.',
  406: 'None of the accepted media types can be served.',
  409: 'The artifact is damaged, belongs to another model, or its status does not allow this.',
  413: 'The body is too large.',
  415: 'The body is not `application/json`.',
  421: 'The `Host` header names neither this server nor one of `ALLOWED_HOSTS`.',
  422: 'The request is valid, but this model or this version cannot serve it, or its `Idempotency-Key` belongs to another request.',
  429: 'The API key has used up its requests or tokens. Try again after `Retry-After` seconds.',
  500: 'Something went wrong on our side.',
  503: 'The server is overloaded or shutting down, or a dependency is unavailable. Try again after `Retry-After` seconds.',
} as const

/** Statuses of an unsafe method without a body. A body that is sent anyway is still read and may be refused. */
export const UNWANTED_BODY = [400, 403, 413, 415] as const

/** Statuses of every route. */
const EVERYWHERE = [400, 421, 500, 503] as const

const REQUEST_ID = { 'x-request-id': Type.String({ description: 'Id of the request, as in the logs.' }) }

/** Headers of draft-ietf-httpapi-ratelimit-headers, sent with every response to a key with limits. */
const QUOTAS = {
  'ratelimit-policy': Type.String({ description: 'Limits of the key: `"requests";q=60;w=60`.' }),
  ratelimit: Type.String({
    description: 'What is left of them, and seconds until all of it is there again: `"requests";r=0;t=42`.',
  }),
}

/** Returns the entry of a JSON response. */
export function json(description: string, schema: TSchema, headers: Record<string, TSchema> = {}) {
  return {
    description,
    headers: { ...REQUEST_ID, ...headers },
    content: { 'application/json': { schema: ref(schema) } },
  }
}

/** Returns the entry of a plain-text response. */
export function text(description: string) {
  return { description, headers: REQUEST_ID, content: { 'text/plain': { schema: Type.String() } } }
}

/**
 * Returns the entries of problem responses with these statuses, and with 400, 421, 500 and 503, which every
 * route has.
 */
export function problems(...statuses: (keyof typeof DESCRIPTIONS)[]) {
  return Object.fromEntries([...statuses, ...EVERYWHERE].map((status) => [status, problem(status)]))
}

/** Returns the entries for a route with this address. */
export function refusals(url: string, ...statuses: (keyof typeof DESCRIPTIONS)[]) {
  return isOpenAiUrl(url) ? openAiErrors(...statuses) : problems(...statuses)
}

/** Returns the same entries for an operation under `/v1`, whose errors have OpenAI's envelope. */
export function openAiErrors(...statuses: (keyof typeof DESCRIPTIONS)[]) {
  const content = { 'application/json': { schema: ref(OpenAIError) } }
  return Object.fromEntries(
    [...statuses, ...EVERYWHERE].map((status) => [status, { ...problem(status), content }]),
  )
}

function problem(status: keyof typeof DESCRIPTIONS) {
  return {
    description: DESCRIPTIONS[status],
    ...((status === 429 || status === 503) && {
      headers: {
        'retry-after': Type.Integer({ description: 'Seconds after which the same request may succeed.' }),
        ...(status === 429 && QUOTAS),
      },
    }),
    content: { 'application/problem+json': { schema: ref(Problem) } },
  }
}
