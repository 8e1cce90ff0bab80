/** @file Who uses the page, and whether the server answers: shared by all views. */

import { type ComponentChildren, createContext } from 'preact'
import { useCallback, useContext, useEffect, useMemo, useRef, useState } from 'preact/hooks'
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
  /** Asks the server whether it answers, and shows or hides the banner. */
  check(): Promise<void>
}

const Context = createContext<Session | null>(null)

export function useSession(): Session {
  const session = useContext(Context)
  if (session === null) throw new Error('session: expected a SessionProvider around the view')
  return session
}

export function SessionProvider({ children }: { readonly children: ComponentChildren }) {
  const [apiKey, setApiKey] = useState<string | null>(null)
  // The key of this moment, which the page may not have been drawn with yet.
  const keyInUse = useRef<string | null>(null)
  const [caller, setCaller] = useState<Caller | null>(null)
  const [signedOut, setSignedOut] = useState<{ readonly reason: string | null } | null>(null)
  const [isDown, setDown] = useState(false)
  const [comeback, setComeback] = useState(0)

  const changeKey = useCallback((key: string | null) => {
    keyInUse.current = key
    setApiKey(key)
  }, [])

  const client = useMemo(
    () =>
      createApi(apiKey, {
        onUnreachable: () => setDown(true),
        onRefusedKey() {
          // A late answer to a key that was replaced signs nobody out.
          if (keyInUse.current !== apiKey) return
          setCaller(null)
          changeKey(null)
          const refused = { reason: 'The server does not know this key. It may have been revoked.' }
          // The call without a key that follows has no reason of its own.
          setSignedOut((before) => (apiKey === null ? (before ?? { reason: null }) : refused))
        },
      }),
    [apiKey, changeKey],
  )

  useEffect(() => {
    const left = new AbortController()
    const isLate = () => left.signal.aborted || keyInUse.current !== apiKey
    bodyOf(client.GET('/whoami', { signal: left.signal }))
      .then((found) => {
        if (isLate()) return
        setCaller(found)
        setSignedOut(null)
      })
      .catch((thrown: unknown) => {
        if (isAbort(thrown) || isLate()) return
        // A refused key has its own page; anything else is a server that cannot answer.
        if (!(thrown instanceof Error && 'status' in thrown && thrown.status === 401)) setDown(true)
      })
    return () => left.abort()
  }, [client, apiKey, comeback])

  const check = useCallback(async () => {
    const response = await fetch(`${SERVER}/livez`, { cache: 'no-store' }).catch(() => null)
    const answers = response?.ok ?? false
    setDown(!answers)
    // Views read again only what they could not read before.
    if (answers) setComeback((count) => count + (isDown ? 1 : 0))
  }, [isDown])

  const session: Session = {
    client,
    apiKey,
    caller,
    isSignedOut: signedOut !== null,
    signedOutBecause: signedOut?.reason ?? null,
    isDown,
    comeback,
    can: (scope) => caller?.scopes.includes(scope) ?? false,
    signIn: changeKey,
    signOut() {
      changeKey(null)
      setCaller(null)
      setSignedOut({ reason: null })
    },
    check,
  }
  return <Context.Provider value={session}>{children}</Context.Provider>
}
