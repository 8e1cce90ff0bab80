/** @file A hundred streams, ten of whose readers stop reading: memory of the API, and the waits of the other readers. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Measurement } from '../report/records.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import type { Pace, ScriptedState } from './scripted-service.ts'
import { startReaders } from './stream-clients.ts'

const STREAMS = 100
const STALLED = [0, 10]
/** Interval, in ms, at which memory is read. */
const SAMPLE_MS = 500

export async function measureStalledReaders(seconds: number): Promise<Measurement[]> {
  const pace: Pace = { characters: 8192, everyMs: 100, seconds }
  const rows = []
  for (const stalled of STALLED) rows.push(await measure(stalled, pace))
  printTable(
    `${STREAMS} streams, some of whose readers stop reading`,
    Object.keys(rows[0]!),
    rows.map((row) => Object.values(row).map((value) => value ?? '')),
  )
  return rows.map(({ stalled, ...figures }) => ({
    part: 'stalled readers',
    case: { stalled },
    n: STREAMS,
    figures,
    settings: pace,
  }))
}

async function measure(stalled: number, pace: Pace) {
  await using parts = new AsyncDisposableStack()
  const service = parts.adopt(
    fork(join(import.meta.dirname, 'scripted-service.ts'), [JSON.stringify(pace)]),
    (it) => {
      it.kill()
    },
  )
  const state = async (): Promise<ScriptedState> => {
    const answer = once(service, 'message')
    service.send('state')
    const [found] = await answer
    return found as ScriptedState
  }
  const { url } = await state()
  const readers = parts.adopt(startReaders(url), (it) => it.close())
  const body = { model: 'circadian/latentseek', messages: [{ role: 'user', content: '1 + 1 = ?' }] }
  const bodies = (count: number) => Array.from({ length: count }, () => body)

  const samples: ScriptedState[] = []
  const sampling = new AbortController()
  const sampled = (async () => {
    while (!sampling.signal.aborted) {
      samples.push(await state())
      await setTimeout(SAMPLE_MS, undefined, { signal: sampling.signal }).catch(() => {})
    }
  })()
  readers.stall(bodies(stalled))
  const streams = await readers.read(bodies(STREAMS - stalled), STREAMS - stalled)
  sampling.abort()
  await sampled
  const complete = streams.filter(({ isComplete }) => isComplete)
  const gaps = complete.flatMap(({ chunks }) =>
    chunks.slice(1).map(({ ms }, index) => ms - chunks[index]!.ms),
  )
  const memory = (of: (sample: ScriptedState) => number, from: number, to: number) =>
    quantile(samples.slice(Math.floor(from * samples.length), Math.ceil(to * samples.length)).map(of), 0.5)
  const { cancelled } = samples.at(-1)!
  return {
    stalled,
    'complete streams': complete.length,
    'between chunks p50 ms': quantile(gaps, 0.5),
    'between chunks p99 ms': quantile(gaps, 0.99),
    'cancelled streams': cancelled.length,
    'cancelled after s, at most': cancelled.length === 0 ? null : Math.max(...cancelled),
    'resident MiB, first tenth': memory(({ residentMiB }) => residentMiB, 0, 0.1),
    'middle tenth': memory(({ residentMiB }) => residentMiB, 0.45, 0.55),
    'last tenth': memory(({ residentMiB }) => residentMiB, 0.9, 1),
    'most MiB': Math.max(...samples.map(({ residentMiB }) => residentMiB)),
    'most MiB of V8 and buffers': Math.max(...samples.map(({ heapMiB }) => heapMiB)),
    load: loadavg()[0]!,
  }
}
