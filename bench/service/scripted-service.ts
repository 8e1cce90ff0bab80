/**
 * @file The HTTP service on a solver that emits text at a fixed pace, in a process of its own: what a hundred streams cost
 * the API, whatever the model. Started by `stalled-readers.ts`, with its pace as JSON in the first argument.
 */

import { setTimeout } from 'node:timers/promises'
import { ServiceError } from '#errors'
import { listen, SOLUTION, scriptedSolver, unverifiedApp } from '../../test/support/http-app.ts'

export interface Pace {
  readonly characters: number
  readonly everyMs: number
  readonly seconds: number
}

/** Answer to each message. */
export interface ScriptedState {
  readonly url: string
  /** Seconds after which streams were cancelled. */
  readonly cancelled: readonly number[]
  /** Resident memory, and memory of V8 and its buffers, in MiB. */
  readonly residentMiB: number
  readonly heapMiB: number
}

const { characters, everyMs, seconds } = JSON.parse(process.argv[2]!) as Pace
const text = 'x'.repeat(characters)
const cancelled: number[] = []
const { solver } = scriptedSolver(async (_request, { signal, onEvent }) => {
  const started = performance.now()
  signal.addEventListener('abort', () => cancelled.push((performance.now() - started) / 1000))
  for (let due = 0; due < seconds * 1000; due += everyMs) {
    await setTimeout(Math.max(0, started + due - performance.now()))
    if (signal.aborted) throw new ServiceError('ABORTED', 'solve: cancelled')
    onEvent?.({ event: 'tokens', data: { text, thought: false } })
  }
  return SOLUTION
})
const { url } = await listen(unverifiedApp({ solver }))
process.on('message', () => {
  const { rss, heapUsed, external } = process.memoryUsage()
  process.send?.({
    url,
    cancelled,
    residentMiB: rss / 2 ** 20,
    heapMiB: (heapUsed + external) / 2 ** 20,
  } satisfies ScriptedState)
})
