/**
 * @file Bench of the engine: alone, against other implementations, and under load.
 *
 * `npm run bench:engine -- [--parts micro,reference,...] [--quick] [--docs] [--requests N] [--json FILE]`
 *
 * `--quick` measures less of everything, to see that it runs; `--docs` writes the curves to docs/bench/. All
 * parts take about ten minutes on two cores.
 */

import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, drawPlots, type Plot } from '#evaluation'
import { againstReference } from './engine/against-reference.ts'
import { againstTransformers } from './engine/against-transformers.ts'
import { measureExperiments } from './engine/experiments.ts'
import { measureFairness } from './engine/fairness.ts'
import { measureOfferedLoad } from './engine/offered-load.ts'
import { measureSaturation, measureStages } from './engine/overhead.ts'
import { measureSampling } from './engine/sampling.ts'
import { measureScaling } from './engine/scaling.ts'
import { soak } from './engine/soak.ts'
import { type Measurement, readRecords, writeRecords } from './report/records.ts'

const { values } = parseArgs({
  options: {
    parts: { type: 'string' },
    quick: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    /**
     * Requests of the soak. With 6,000 the embedded database's buffers fill up and the API's memory stops
     * growing.
     */
    requests: { type: 'string' },
    json: { type: 'string' },
  },
})
const { quick } = values
const docs = values.docs ? join(import.meta.dirname, '../docs/bench') : null

const PARTS: Readonly<Record<string, () => Promise<unknown>>> = {
  micro,
  reference: () =>
    againstReference(quick ? { count: 16, answerTokens: 48 } : { count: 100, answerTokens: 256 }),
  transformers: () => againstTransformers({ rounds: quick ? 1 : 2 }),
  overhead: async () => ({
    saturation: await measureSaturation({ requests: quick ? 32 : 96 }),
    stages: await measureStages({ count: quick ? 30 : 200 }),
  }),
  scaling: () => plotted('scaling', measureScaling({ waves: quick ? 1 : 4, docs })),
  load: () => plotted('offered-load', measureOfferedLoad({ seconds: quick ? 2 : 6, docs })),
  fairness: () => measureFairness({ count: quick ? 20 : 200 }),
  soak: () =>
    soak({
      requests: Number(values.requests ?? (quick ? 200 : 2000)),
      warmUp: quick ? 100 : 400,
      disconnects: 0.05,
    }),
  sampling: () => measureSampling({ repeats: quick ? 10 : 200 }),
  experiments: () => measureExperiments({ repeats: quick ? 1 : 4 }),
}

const wanted = values.parts?.split(',') ?? Object.keys(PARTS)
const unknown = wanted.find((name) => !(name in PARTS))
if (unknown !== undefined) {
  throw new Error(`--parts: expected some of ${Object.keys(PARTS).join(', ')}, got ${unknown}`)
}

const machine = describeMachine()
console.log(`# The engine, measured\n\n${JSON.stringify(machine)}`)
const measured: Measurement[] = []
for (const name of wanted) {
  const started = performance.now()
  const report = await PARTS[name]?.()
  measured.push(...(name === 'micro' ? (report as Measurement[]) : measurementsOf(name, report)))
  console.log(`\n(${name}: ${Math.round((performance.now() - started) / 1000)} s)`)
}
if (values.json !== undefined) {
  await writeRecords(values.json, { bench: 'engine', machine, seeds: [] }, measured)
}
// ONNX Runtime sessions of this process stay open and would keep it alive.
process.exit(0)

/** Runs bench/engine.ts in a process of its own. */
async function micro(): Promise<readonly Measurement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'circadian-micro-'))
  const json = join(folder, 'micro.jsonl')
  const effort = quick ? ['--tokens', '16', '--repeats', '2'] : []
  try {
    const script = join(import.meta.dirname, 'engine.ts')
    execFileSync(process.execPath, [script, '--json', json, ...effort], { stdio: 'inherit' })
    return await readRecords(json)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** One record per entry of a list; a single record for any other report. */
function measurementsOf(part: string, report: unknown): Measurement[] {
  const entries: readonly unknown[] = Array.isArray(report) ? report : [report]
  return entries.map((entry, index) => ({
    part,
    case: { entry: index + 1 },
    n: null,
    figures: typeof entry === 'object' && entry !== null ? entry : { value: entry },
  }))
}

async function plotted(
  name: string,
  measured: Promise<{ readonly report: unknown; readonly plots: readonly Plot[] }>,
): Promise<unknown> {
  const { report, plots } = await measured
  if (docs !== null) {
    await mkdir(docs, { recursive: true })
    await writeFile(join(docs, `${name}.svg`), drawPlots(plots))
  }
  return report
}
