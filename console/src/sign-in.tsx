/** @file The form that asks for an API key. */

import { useEffect, useRef, useState } from 'preact/hooks'
import { useSession } from './session.tsx'

export function SignIn() {
  const { signIn, signedOutBecause } = useSession()
  const [key, setKey] = useState('')
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  return (
    <form
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault()
        if (key.trim() !== '') signIn(key.trim())
      }}
    >
      <h1>Sign in</h1>
      <p class="lead">This server asks for an API key. It stays in this tab and is gone when you close it.</p>
      {signedOutBecause !== null && (
        <p class="fault" role="alert">
          {signedOutBecause}
        </p>
      )}
      <label for="key">API key</label>
      <input
        id="key"
        ref={field}
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={key}
        onInput={({ currentTarget }) => setKey(currentTarget.value)}
      />
      <button type="submit" class="primary" disabled={key.trim() === ''}>
        Sign in
      </button>
      <p class="hint">
        An operator makes keys with <code>circadian keys create</code>.
      </p>
    </form>
  )
}
