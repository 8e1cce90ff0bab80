/** @file Ways to ask a question: a solver in this process, or a running server. Neither is given the reference. */

import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { text as readText } from 'node:stream/consumers'
import { ERROR_CODES, type ErrorCode, ServiceError } from '#errors'
import type { Solution, Solver } from '#solving'
import type { Arm } from './arms.ts'

interface Asked {
  readonly question: string
  readonly arm: Arm
  /** Seed of the repetition, the same for all its problems. */
  readonly run: number
  /** Seed of the request. */
  readonly seed: number
}

/** @throws ServiceError as `Solver.solve` does */
export type Ask = (asked: Asked, signal: AbortSignal) => Promise<Solution>

/** Tenant whose episodes an arm with retrieval reads: that of callers of the API. */
export const TENANT = 'default'

/** Asks a solver of this process. An arm that learns has a memory of its own in every repetition, empty at first. */
export function askSolver(solver: Pick<Solver, 'solve'>): Ask {
  return ({ question, arm, run, seed }, signal) => {
    const tenantId = arm.request.learn ? `evaluation ${run} ${arm.name}` : TENANT
    return solver.solve({ ...arm.request, tenantId, question, seed }, { signal })
  }
}

/** Time, in ms, after which a request counts as lost. */
const ANSWER_TIMEOUT_MS = 3_600_000

/**
 * @param headers further headers of every request, such as a key
 * @param timeoutMs time after which a request fails with ENGINE_UNAVAILABLE; an hour by default
 * @throws ServiceError REQUEST_INVALID for an address that is none, or a header that cannot be sent
 */
export function askServer(
  url: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Ask {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    throw new ServiceError('REQUEST_INVALID', `--url: expected http://HOST:PORT, got ${url}`)
  }
  if (new URL(url).username !== '') {
    const fault =
      '--url: expected an address without a user name, got one; send it with --header authorization:VALUE'
    throw new ServiceError('REQUEST_INVALID', fault)
  }
  for (const [name, value] of Object.entries(headers)) checkHeader(name, value)
  const address = `${url.endsWith('/') ? url.slice(0, -1) : url}/solve`
  const post = createPost(address, timeoutMs)
  return async ({ question, arm, seed }, signal) => {
    const { status, text, retryAfter } = await post(
      { 'content-type': 'application/json', accept: 'application/json', ...headers },
      JSON.stringify({ ...arm.request, question, seed }),
      signal,
    )
    const body = parse(text)
    if (status !== 200) throw refusal(address, status, body, retryAfter)
    if (!isSolution(body)) {
      throw new ServiceError('REQUEST_INVALID', `POST ${address}: expected a solution, got another answer`)
    }
    return body
  }
}

function checkHeader(name: string, value: string): void {
  try {
    new Headers([[name, value]])
  } catch {
    // The message would repeat the value, which may be a key.
    const fault = `--header: expected a value of one line for ${name}, got other characters`
    throw new ServiceError('REQUEST_INVALID', fault)
  }
}

/** Longest pause that a server may wish, in s. Timers of Node have an end too, beyond which they do not wait at all. */
const MAX_RETRY_AFTER_S = 600

interface Posted {
  readonly status: number
  readonly text: string
  readonly retryAfter: number | undefined
}

/**
 * Creates a function that posts JSON and waits for the answer. Not `fetch`, which gives up when no header has come for
 * five minutes: an answer begins when it is complete.
 */
function createPost(address: string, timeoutMs: number) {
  const isSecure = /^https:/i.test(address)
  const agent = new (isSecure ? HttpsAgent : HttpAgent)({ keepAlive: true })
  const send = isSecure ? requestHttps : requestHttp

  async function exchange(
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<Posted> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    send(address, { method: 'POST', headers, agent, signal }, resolve).on('error', reject).end(body)
    const response = await promise
    const retryAfter = Number(response.headers['retry-after'] || Number.NaN)
    return {
      status: response.statusCode ?? 0,
      text: await readText(response),
      retryAfter: retryAfter >= 0 ? Math.min(retryAfter, MAX_RETRY_AFTER_S) : undefined,
    }
  }

  return async (
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<Posted> => {
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      return await exchange(headers, body, AbortSignal.any([signal, timeout]))
    } catch (cause) {
      if (signal.aborted) throw new ServiceError('ABORTED', 'evaluation: stopped', { cause })
      // Where several addresses were tried, the error of the request has a code and no message.
      const { message, code } = Object(cause) as NodeJS.ErrnoException
      const reason = timeout.aborted ? `none for ${timeoutMs / 1000} s` : message || code || String(cause)
      throw new ServiceError('ENGINE_UNAVAILABLE', `POST ${address}: expected an answer, got ${reason}`, {
        cause,
      })
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isSolution(body: unknown): body is Solution {
  const { usage, model } = Object(body) as Partial<Solution>
  return typeof usage?.generatedTokens === 'number' && typeof model?.fingerprint === 'string'
}

/** Error of a problem of the service; of any other answer, one that is worth a repetition if the status says so. */
function refusal(
  address: string,
  status: number,
  body: unknown,
  retryAfter: number | undefined,
): ServiceError {
  const { code, detail } = Object(body) as { readonly code?: unknown; readonly detail?: unknown }
  const isBusy = status >= 500 || status === 429
  const known = ERROR_CODES.find((each) => each === code)
  const ours: ErrorCode = isBusy && known === undefined ? 'ENGINE_UNAVAILABLE' : (known ?? 'REQUEST_INVALID')
  const reason = typeof detail === 'string' ? detail : `status ${status}`
  return new ServiceError(ours, `POST ${address}: ${reason}`, {
    ...(retryAfter !== undefined && { retryAfterSeconds: retryAfter }),
  })
}
