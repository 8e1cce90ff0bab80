/**
 * @file Probe preloaded into the process under test (`node --import`): reports event-loop delays to the
 * parent.
 */

import { createHistogram, monitorEventLoopDelay, type RecordableHistogram } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

export interface EventLoopDelay {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /**
   * Processor time of the main thread between two turns of the event loop: the part of the delays that the
   * process itself causes. Other processes that take the processor only add to the delays.
   */
  readonly workP99Ms: number
  readonly workMaxMs: number
}

const RESOLUTION_MS = 1
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
delay.enable()

/** In microseconds. */
const work: RecordableHistogram = createHistogram()
let last = process.threadCpuUsage()
const recordWork = () => {
  const { user, system } = process.threadCpuUsage(last)
  last = process.threadCpuUsage()
  work.record(Math.max(1, user + system))
}
// The threads of the process preload this file as well.
if (isMainThread) setInterval(recordWork, RESOLUTION_MS).unref()

/** Answers every message with the delays since the last one. */
process.on('message', () => {
  process.send?.({
    p50Ms: delay.percentile(50) / 1e6,
    p99Ms: delay.percentile(99) / 1e6,
    maxMs: delay.max / 1e6,
    workP99Ms: work.percentile(99) / 1e3,
    workMaxMs: work.max / 1e3,
  } satisfies EventLoopDelay)
  delay.reset()
  work.reset()
})
process.channel?.unref()
