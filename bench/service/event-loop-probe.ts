/**
 * @file Probe preloaded into the service under test (`node --import`): reports event-loop delays to the
 * parent.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface EventLoopDelay {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const RESOLUTION_MS = 1
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
delay.enable()

/** Answers every message with the delays since the last one. */
process.on('message', () => {
  const inMs = (nanoseconds: number) => nanoseconds / 1e6
  process.send?.({
    p50Ms: inMs(delay.percentile(50)),
    p99Ms: inMs(delay.percentile(99)),
    maxMs: inMs(delay.max),
  } satisfies EventLoopDelay)
  delay.reset()
})
process.channel?.unref()
