/** @file Reads of the API that a view shows. */

import { useCallback, useEffect, useState } from 'preact/hooks'
import { isAbort } from './api.ts'
import { useSession } from './session.tsx'

export interface Query<Body> {
  /** null: not read yet. Stays while it is read again. */
  readonly data: Body | null
  /** Why the last read failed; null when it did not. */
  readonly fault: unknown
  reload(): void
}

/**
 * Reads now, when `keys` change, when the server comes back, and every `everyMs` while the tab is visible. A read in
 * flight is cancelled when its answer is no longer wanted.
 */
export function useQuery<Body>(
  load: (signal: AbortSignal) => Promise<Body>,
  keys: readonly unknown[],
  { everyMs = null }: { readonly everyMs?: number | null } = {},
): Query<Body> {
  const { client, comeback, isDown } = useSession()
  const [data, setData] = useState<Body | null>(null)
  const [fault, setFault] = useState<unknown>(null)
  const [turn, setTurn] = useState(0)
  const reload = useCallback(() => setTurn((count) => count + 1), [])

  useEffect(() => {
    if (isDown) return
    const left = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async () => {
      if (everyMs === null || !document.hidden) {
        try {
          const body = await load(left.signal)
          if (left.signal.aborted) return
          setData(body)
          setFault(null)
        } catch (thrown) {
          if (left.signal.aborted || isAbort(thrown)) return
          setFault(thrown)
        }
      }
      if (everyMs !== null && !left.signal.aborted) timer = setTimeout(read, everyMs)
    }
    read()
    return () => {
      left.abort()
      clearTimeout(timer)
    }
  }, [client, comeback, isDown, turn, everyMs, ...keys])

  return { data, fault, reload }
}
