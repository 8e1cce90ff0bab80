/** @file Typed calls of the API of the server that sent the page. */

import {
  type CircadianClient,
  CircadianError,
  createClient,
  type Problem,
} from '../../clients/typescript/src/index.ts'

export type * from './contract.ts'
export { CircadianError }

/** Address of the server without a slash at its end: the page may lie below a path of a proxy. */
export const SERVER = new URL('.', document.baseURI).href.replace(/\/$/, '')

export interface ApiEvents {
  /** No answer, or that of a proxy whose server is down. */
  onUnreachable(): void
  /** The key is missing, unknown or revoked. */
  onRefusedKey(): void
}

/** Creates the client of one key. @param apiKey null: without a key */
export function createApi(
  apiKey: string | null,
  { onUnreachable, onRefusedKey }: ApiEvents,
): CircadianClient {
  const watched: typeof fetch = async (input, init) => {
    try {
      const response = await fetch(input, init)
      if (response.status === 401) onRefusedKey()
      if ([502, 504].includes(response.status)) onUnreachable()
      return response
    } catch (thrown) {
      if (!isAbort(thrown)) onUnreachable()
      throw thrown
    }
  }
  return createClient({ baseUrl: SERVER, fetch: watched, ...(apiKey !== null && { apiKey }) })
}

/** Returns the body of a call by method and path. @throws CircadianError for every other status than 2xx */
export async function bodyOf<Body>(
  call: Promise<{ readonly data?: Body; readonly error?: unknown; readonly response: Response }>,
): Promise<Body> {
  const { data, error, response } = await call
  if (response.ok) return data as Body
  const isProblem = typeof error === 'object' && error !== null && 'code' in error
  throw new CircadianError(
    response.status,
    isProblem ? (error as Problem) : null,
    response.headers.get('retry-after'),
  )
}

export const isAbort = (thrown: unknown): boolean =>
  thrown instanceof DOMException && thrown.name === 'AbortError'
