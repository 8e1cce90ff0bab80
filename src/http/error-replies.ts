/** @file Answers errors thrown by routes, by fastify or by the HTTP parser with a problem. */

import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { coerceError, type ErrorCode, hasCode, ServiceError } from '#errors'
import { createThrottle, kindOf } from '#throttle-log'
import { createRequestId } from './context.ts'
import { isOpenAiUrl, openAiStatus, toOpenAiError } from './openai/errors.ts'
import { codeOf, retryAfterSeconds, toProblem } from './problem.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

/** Logs the error of a request. */
export type ProblemLog = (log: FastifyBaseLogger, error: unknown) => void

/**
 * Answers an error with a problem, under `/v1` with OpenAI's envelope, and logs the whole error. An error handler of fastify
 * binds `logProblem`.
 */
export function replyWithProblem(
  logProblem: ProblemLog,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const problem = toProblem(error, request.id)
  logProblem(request.log, error)
  const retryAfter = retryAfterSeconds(error)
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  // Errors of fastify itself come here without hooks.
  reply.headers(SECURITY_HEADERS).header('x-request-id', request.id)
  if (isOpenAiUrl(request.url)) {
    const body = toOpenAiError(error, request.id, request.url)
    reply.code(openAiStatus(problem)).type('application/json').send(body)
  } else {
    reply.code(problem.status).type('application/problem+json').send(problem)
  }
}

/**
 * Returns the log of an app for errors of requests. Logs an error at a level that depends on its status:
 * `error` for a bug (500), `warn` for load or life cycle (other 5xx), `debug` for a fault of the caller, so that
 * callers cannot fill the log. During an outage each request fails in the same way: of each code and kind of
 * cause at `warn` the first error is logged, then one a minute with the number left out.
 */
export function createProblemLog(clock?: () => number): ProblemLog {
  const throttle = createThrottle(clock)
  return (log, error) => {
    const { status, code } = toProblem(error, '')
    const level = status === 500 ? 'error' : status > 500 ? 'warn' : 'debug'
    const passed = level === 'warn' ? throttle(`${code} ${kindOfCause(error)}`) : {}
    if (passed === null) return
    log[level]({ err: error, code: code === 'INTERNAL' ? codeOf(error) : code, ...passed }, 'request failed')
  }
}

/** Causes that differ hide nothing of each other: a full disk is logged although the network failed before. */
function kindOfCause(error: unknown): string {
  const { cause } = coerceError(error)
  return cause === undefined ? '' : kindOf(coerceError(cause))
}

const PARSER_FAULTS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    'REQUEST_TIMEOUT',
    'request: expected all of it within the time limit, got a part',
  ],
  HPE_HEADER_OVERFLOW: ['HEADERS_TOO_LARGE', 'request: expected smaller headers'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['BODY_TOO_LARGE', 'request: expected smaller chunk extensions'],
}

/** Time, in ms, in which a client may read the answer to a fault of its bytes and close its side of the connection. */
const RAW_FAULT_MS = 2_000

/** Answers bytes that the HTTP parser refused. There is no request, only a socket to write to, which Node no longer closes. */
export function replyToRawFault(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [code, detail] = PARSER_FAULTS[error.code] ?? ['REQUEST_INVALID', 'request: expected HTTP/1.1']
  const { status, headers, body } = finalReply(new ServiceError(code, detail))
  const timer = setTimeout(() => socket.destroy(), RAW_FAULT_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      '',
      body,
    ].join('\r\n'),
  )
}

/** Answers a request that never reaches fastify with a problem, and closes its connection. */
export function replyWithoutFastify(response: ServerResponse, error: Error): void {
  const { status, headers, body } = finalReply(error)
  const isKeyMissing = hasCode(error, 'KEY_INVALID')
  response.writeHead(status, { ...headers, ...(isKeyMissing && { 'www-authenticate': 'Bearer' }) }).end(body)
}

/** Returns the last response of a connection: a problem under a new request id. */
function finalReply(error: Error) {
  const id = createRequestId()
  const problem = toProblem(error, id)
  const body = JSON.stringify(problem)
  const headers = {
    ...SECURITY_HEADERS,
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-request-id': id,
    connection: 'close',
  }
  return { status: problem.status, headers, body }
}
