/** @file The frame: tabs, the caller, the banner of a server that is down, and the open view. */

import { useEffect, useRef } from 'preact/hooks'
import { Banner } from './banner.tsx'
import { linkTo, useRoute } from './route.ts'
import { SessionProvider, useSession } from './session.tsx'
import { SignIn } from './sign-in.tsx'
import { VIEWS } from './views.ts'

export function App() {
  return (
    <SessionProvider>
      <Frame />
    </SessionProvider>
  )
}

function Frame() {
  const { caller, isSignedOut, can } = useSession()
  const [id = '', ...rest] = useRoute()
  const main = useRef<HTMLElement>(null)
  const views = caller === null ? [] : VIEWS.filter(({ scope }) => scope === null || can(scope))
  const view = views.find((each) => each.id === id) ?? views[0]
  const title = isSignedOut ? 'Sign in' : view?.title

  useEffect(() => {
    document.title = title === undefined ? 'Circadian' : `${title} · Circadian`
  }, [title])

  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <p class="brand">
          <Mark /> Circadian
        </p>
        {views.length > 0 && (
          <nav aria-label="Views">
            {views.map((each) => (
              <a
                key={each.id}
                href={linkTo(each.id)}
                {...(each === view && { 'aria-current': 'page' as const })}
              >
                {each.title}
              </a>
            ))}
          </nav>
        )}
        {caller !== null && <CallerName />}
      </header>
      <Banner />
      <main ref={main} tabIndex={-1} id="main">
        {isSignedOut && <SignIn />}
        {view !== undefined && <view.component key={view.id} route={rest} />}
      </main>
    </>
  )
}

function CallerName() {
  const { caller, apiKey, signOut } = useSession()
  if (caller === null || apiKey === null) return <p class="caller">No key needed</p>
  return (
    <p class="caller">
      <span title={caller.scopes.join(', ')}>{caller.tenantId}</span>
      <button type="button" class="link" onClick={signOut}>
        Sign out
      </button>
    </p>
  )
}

/** Day and night in one circle. */
function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <circle cx="16" cy="16" r="13" fill="none" stroke="currentColor" stroke-width="2.5" />
      <path d="M16 3a13 13 0 0 1 0 26z" fill="currentColor" />
    </svg>
  )
}
