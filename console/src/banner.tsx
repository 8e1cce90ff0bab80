/** @file The banner of a server that does not answer, which asks it again with growing pauses. */

import { useEffect, useState } from 'preact/hooks'
import { useSession } from './session.tsx'

const MAX_PAUSE_SECONDS = 15

export function Banner() {
  const { isDown } = useSession()
  return isDown ? <Down /> : null
}

function Down() {
  const { check } = useSession()
  const [attempts, setAttempts] = useState(0)
  const [left, setLeft] = useState(1)

  useEffect(() => {
    const pause = Math.min(2 ** attempts, MAX_PAUSE_SECONDS)
    setLeft(pause)
    const timer = setInterval(() => setLeft((seconds) => Math.max(0, seconds - 1)), 1_000)
    const next = setTimeout(async () => {
      await check()
      setAttempts((count) => count + 1)
    }, pause * 1_000)
    return () => {
      clearInterval(timer)
      clearTimeout(next)
    }
  }, [attempts, check])

  return (
    <div class="banner" role="alert">
      <p>
        <strong>The server does not answer.</strong>{' '}
        <span aria-hidden="true">Next try in {left}&thinsp;s.</span>
      </p>
      <button type="button" class="quiet" onClick={() => void check()}>
        Try now
      </button>
    </div>
  )
}
