/** @file Asks a question and follows its events. */

import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { CircadianError, isAbort, type SolveRequest } from '../../api.ts'
import { useSession } from '../../session.tsx'
import { addEvent, beginRun, type Run } from './run.ts'

/** Time, in ms, after which a batch of events lets the browser draw and answer clicks. */
const MAX_SLICE_MS = 12

export interface Solve {
  /** null: nothing was asked yet. The same object all the time that it grows. */
  readonly run: Run | null
  ask(request: SolveRequest): void
  cancel(): void
  /** Sends the request again whose stream broke: the server answers it once. */
  goOn(): void
}

export function useSolve(): Solve {
  const { client, check } = useSession()
  const [run, setRun] = useState<Run | null>(null)
  const [, setVersion] = useState(0)
  const current = useRef<AbortController | null>(null)
  const frame = useRef(0)

  const draw = useCallback(() => {
    if (frame.current !== 0) return
    frame.current = requestAnimationFrame(() => {
      frame.current = 0
      setVersion((version) => version + 1)
    })
  }, [])

  useEffect(
    () => () => {
      current.current?.abort()
      cancelAnimationFrame(frame.current)
    },
    [],
  )

  const start = useCallback(
    async (request: SolveRequest, idempotencyKey: string) => {
      current.current?.abort()
      const stop = new AbortController()
      current.current = stop
      const begun = beginRun(request, idempotencyKey, performance.now())
      setRun(begun)
      try {
        let slice = performance.now()
        for await (const event of client.solveEvents(request, { signal: stop.signal, idempotencyKey })) {
          addEvent(begun, event, performance.now())
          draw()
          if (performance.now() - slice < MAX_SLICE_MS) continue
          await nextTask()
          slice = performance.now()
        }
      } catch (thrown) {
        begun.fault = thrown
        if (stop.signal.aborted || isAbort(thrown)) begun.status = 'cancelled'
        // A stream that ends without an answer, or in the middle of an event, has no problem.
        else if (!(thrown instanceof CircadianError) || thrown.problem === null) begun.status = 'broken'
        else begun.status = 'refused'
        if (begun.status === 'broken') void check()
      }
      setVersion((version) => version + 1)
    },
    [client, check, draw],
  )

  return {
    run,
    ask: (request) => void start(request, randomKey()),
    cancel: () => current.current?.abort(),
    goOn: () => {
      if (run !== null) void start(run.request, run.idempotencyKey)
    },
  }
}

/** `crypto.randomUUID` is only there on HTTPS and localhost. */
const randomKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** Resolves in a task of its own, unlike a promise that is already resolved. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}
