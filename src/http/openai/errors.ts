/** @file Errors of the operations under `/v1`, in OpenAI's envelope. Titles, and all statuses but one, are those of `problem.ts`. */

import type { Static } from 'typebox'
import { type Problem, toProblem } from '../problem.ts'
import type { OpenAIError } from '../schemas/openai.ts'
import { parameterName } from './ask.ts'

/** Returns whether errors at this URL have OpenAI's envelope. */
export function isOpenAiUrl(url: string): boolean {
  return /^\/v1(?:[/?]|$)/.test(url)
}

/** Codes that OpenAI's clients know; the others are those of the problem in small letters. */
const KNOWN_CODES: Readonly<Record<string, string>> = {
  KEY_INVALID: 'invalid_api_key',
  PROMPT_TOO_LONG: 'context_length_exceeded',
  INTERNAL: 'internal_error',
}

/** Begins the message of a conversation that is too long: LiteLLM and LangChain know this error by its text alone. */
const CONTEXT_EXCEEDED = "This model's maximum context length is exceeded"

/** Returns the status of an error under `/v1`: 400, as OpenAI's, for a conversation that is too long, and else that of its problem. */
export function openAiStatus({ code, status }: Problem): number {
  return code === 'PROMPT_TOO_LONG' ? 400 : status
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
}

/** Returns the body of an error response. A 5xx contains the title of its code and nothing from the error. */
export function toOpenAiError(thrown: unknown, requestId: string, url: string): Static<typeof OpenAIError> {
  const problem = toProblem(thrown, requestId)
  const { code, title, detail } = problem
  const status = openAiStatus(problem)
  const begin = code === 'PROMPT_TOO_LONG' ? `${CONTEXT_EXCEEDED}: ` : ''
  const fault = faultOf(problem)
  const param = fault === undefined ? null : parameterOf(fault.pointer, url)
  return {
    error: {
      message: begin + (detail === undefined ? title : (fault?.message(param) ?? detail)),
      type: TYPES[status] ?? (status >= 500 ? 'server_error' : 'invalid_request_error'),
      param,
      code: KNOWN_CODES[code] ?? code.toLowerCase(),
    },
  }
}

/** Returns the fault to name: of a part of the wrong kind its `type`, and else the first. */
function faultOf({ errors = [], code, detail }: Problem) {
  const fault = errors.find(({ pointer }) => pointer.endsWith('/type')) ?? errors[0]
  if (fault === undefined) return undefined
  const isOwn = code === 'REQUEST_INVALID'
  return {
    pointer: fault.pointer,
    message: (param: string | null) => (isOwn ? `${param || 'body'}: ${fault.detail}` : detail),
  }
}

/** Returns the parameter of the operation for a pointer of the solver or of the body; null for the whole body. */
function parameterOf(pointer: string, url: string): string | null {
  const turns = url.startsWith('/v1/responses') ? 'input' : 'messages'
  const [, first = ''] = pointer.split('/')
  if (first === 'question' || first === 'context') return turns
  if (['reference', 'reward', 'thinking'].includes(first)) return parameterName(`/circadian${pointer}`)
  return parameterName(pointer) || null
}
