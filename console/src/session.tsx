/** @file Who uses the page, and whether the server answers: shared by all views. */

import { type ComponentChildren, createContext } from 'preact'
import { useCallback, useContext, useEffect, useMemo, useState } from 'preact/hooks'
import { bodyOf, type Caller, type CircadianClient, createApi, isAbort, SERVER } from './api.ts'

export type Scope = Caller['scopes'][number]

export interface Session {
  readonly client: CircadianClient
  /** Key of the tab, which is gone with it; null: the server needs none, or the caller has not signed in. */
  readonly apiKey: string | null
  /** null: not known yet. */
  readonly caller: Caller | null
  readonly isSignedOut: boolean
  /** Reason for which a key is asked for, when there was one. */
  readonly signedOutBecause: string | null
  readonly isDown: boolean
  /** Number of times that the server has come back. */
  readonly comeback: number
  can(scope: Scope): boolean
  signIn(key: string): void
  signOut(): void
  /** Asks the server whether it answers again. */
  retry(): Promise<void>
}

const Context = createContext<Session | null>(null)

export function useSession(): Session {
  const session = useContext(Context)
  if (session === null) throw new Error('session: expected a SessionProvider around the view')
  return session
}

export function SessionProvider({ children }: { readonly children: ComponentChildren }) {
  const [apiKey, setApiKey] = useState<string | null>(null)
  const [caller, setCaller] = useState<Caller | null>(null)
  const [signedOut, setSignedOut] = useState<{ readonly reason: string | null } | null>(null)
  const [isDown, setDown] = useState(false)
  const [comeback, setComeback] = useState(0)

  const client = useMemo(
    () =>
      createApi(apiKey, {
        onUnreachable: () => setDown(true),
        onRefusedKey() {
          setCaller(null)
          setApiKey(null)
          setSignedOut({
            reason: apiKey === null ? null : 'The server does not know this key. It may have been revoked.',
          })
        },
      }),
    [apiKey],
  )

  useEffect(() => {
    const left = new AbortController()
    bodyOf(client.GET('/whoami', { signal: left.signal }))
      .then((found) => {
        if (left.signal.aborted) return
        setCaller(found)
        setSignedOut(null)
      })
      .catch((thrown: unknown) => {
        if (isAbort(thrown) || left.signal.aborted) return
        // A refused key has its own page; anything else is a server that cannot answer.
        if (!(thrown instanceof Error && 'status' in thrown && thrown.status === 401)) setDown(true)
      })
    return () => left.abort()
  }, [client, comeback])

  const retry = useCallback(async () => {
    const response = await fetch(`${SERVER}/readyz`, { cache: 'no-store' }).catch(() => null)
    if (response === null || response.status === 502 || response.status === 504) return
    setDown(false)
    setComeback((count) => count + 1)
  }, [])

  const session: Session = {
    client,
    apiKey,
    caller,
    isSignedOut: signedOut !== null,
    signedOutBecause: signedOut?.reason ?? null,
    isDown,
    comeback,
    can: (scope) => caller?.scopes.includes(scope) ?? false,
    signIn: setApiKey,
    signOut() {
      setApiKey(null)
      setCaller(null)
      setSignedOut({ reason: null })
    },
    retry,
  }
  return <Context.Provider value={session}>{children}</Context.Provider>
}
