/** @file Ways to ask a question: a solver in this process, or a running server. Neither is given the reference. */

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
const TENANT = 'default'

/** Asks a solver of this process. An arm that learns has a memory of its own in every repetition, empty at first. */
export function askSolver(solver: Pick<Solver, 'solve'>): Ask {
  return ({ question, arm, run, seed }, signal) => {
    const tenantId = arm.request.learn ? `evaluation ${run} ${arm.name}` : TENANT
    return solver.solve({ ...arm.request, tenantId, question, seed }, { signal })
  }
}

/**
 * @param headers further headers of every request, such as a key
 * @throws ServiceError REQUEST_INVALID for an address that is none, or a header that cannot be sent
 */
export function askServer(url: string, headers: Readonly<Record<string, string>>): Ask {
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
  return async ({ question, arm, seed }, signal) => {
    const { status, text, retryAfter } = await post(address, {
      headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
      body: JSON.stringify({ ...arm.request, question, seed }),
      signal,
    })
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

async function post(address: string, init: RequestInit): Promise<Posted> {
  try {
    const response = await fetch(address, { method: 'POST', ...init })
    const retryAfter = Number(response.headers.get('retry-after') || Number.NaN)
    return {
      status: response.status,
      text: await response.text(),
      retryAfter: retryAfter >= 0 ? Math.min(retryAfter, MAX_RETRY_AFTER_S) : undefined,
    }
  } catch (cause) {
    if (init.signal?.aborted) throw new ServiceError('ABORTED', 'evaluation: stopped', { cause })
    const reason =
      cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
    throw new ServiceError('ENGINE_UNAVAILABLE', `POST ${address}: expected an answer, got ${reason}`, {
      cause,
    })
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
