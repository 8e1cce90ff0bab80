/**
 * @file Probe preloaded into the engine process (`NODE_OPTIONS=--import`): on SIGUSR2 it writes the time
 * spent in ONNX Runtime and in the event loop, and the memory of the process, to the file of `probeFile`.
 */

import '../../src/engine/child/without-float16-array.ts'
import '../../src/engine/child/without-telemetry.ts'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession } from 'onnxruntime-node'

export interface ProbeReading {
  /** Number of the reading, so that a reader recognises a new one. */
  readonly reading: number
  /** Milliseconds inside `session.run`. */
  readonly runMs: number
  /** Number of calls of `session.run`. */
  readonly runs: number
  /** Milliseconds in which the event loop did not wait for events; runs are included. */
  readonly activeMs: number
  readonly rssBytes: number
}

export function probeFile(pid: number): string {
  return join(tmpdir(), `circadian-engine-probe-${pid}.json`)
}

/** Measures engine processes only, not the importers of the names above. */
if (process.env['CIRCADIAN_BENCH_PROBE'] === '1' && process.argv[1]?.includes('engine/child')) {
  let [runMs, runs, reading] = [0, 0, 0]
  // Typed as a factory; at run time it is the class of every session.
  const { prototype } = InferenceSession as unknown as { readonly prototype: InferenceSession }
  const { run } = prototype
  prototype.run = async function (this: InferenceSession, ...args: Parameters<InferenceSession['run']>) {
    const started = performance.now()
    try {
      return await run.apply(this, args)
    } finally {
      runMs += performance.now() - started
      runs += 1
    }
  } as InferenceSession['run']
  process.on('SIGUSR2', () => {
    reading += 1
    const activeMs = performance.eventLoopUtilization().active
    const rssBytes = process.memoryUsage.rss()
    writeFileSync(probeFile(process.pid), JSON.stringify({ reading, runMs, runs, activeMs, rssBytes }))
  })
}
