/** @file An engine whose process reports its run time and memory through a probe. */

import { readFile, rm } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import type { Engine } from '#engine'
import { type ProbeReading, probeFile } from './engine-probe.ts'
import { type BenchModel, startEngine } from './models.ts'

export interface ProbedEngine {
  readonly engine: Engine
  read(): Promise<ProbeReading>
  close(): Promise<void>
}

export async function startProbedEngine(model: BenchModel): Promise<ProbedEngine> {
  const { NODE_OPTIONS } = process.env
  process.env['NODE_OPTIONS'] =
    `${NODE_OPTIONS ?? ''} --import=${new URL('engine-probe.ts', import.meta.url)}`
  process.env['CIRCADIAN_BENCH_PROBE'] = '1'
  const engine = await startEngine(model).finally(() => {
    delete process.env['CIRCADIAN_BENCH_PROBE']
    if (NODE_OPTIONS === undefined) delete process.env['NODE_OPTIONS']
    else process.env['NODE_OPTIONS'] = NODE_OPTIONS
  })
  const pid = engine.status().pid ?? 0
  const file = probeFile(pid)
  let readings = 0
  return {
    engine,
    async read() {
      readings += 1
      process.kill(pid, 'SIGUSR2')
      for (;;) {
        const text = await readFile(file, 'utf8').catch(() => '')
        const reading = parse(text)
        if (reading?.reading === readings) return reading
        await setTimeout(5)
      }
    },
    async close() {
      await engine.close()
      await rm(file, { force: true })
    },
  }
}

/** Parses a reading; null while the file is incomplete. */
function parse(text: string): ProbeReading | null {
  try {
    return JSON.parse(text) as ProbeReading
  } catch {
    return null
  }
}
