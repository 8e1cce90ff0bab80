/**
 * @file What days and nights are worth: LatentEvolve on the bundled model, from an empty memory.
 *
 * `npm run bench:evolve -- [--parts days,curves,far,forgetting,poisoning] [--seeds 20261121,20261122,20261123] [--quick] [--docs]
 * [--json FILE]`. `--quick` measures very little of everything, to see that it runs; `--docs` writes docs/bench/evolve.json and the
 * plot of the days; curves are of the first seed.
 *
 * Days ask problems of the training split and give no answers: only the model judges itself. What is reported is measured on
 * problems that are held out, the same ones every day, with learning off; first pass: right without an optimiser step. Figures are means with their standard errors in brackets,
 * over problems and over seeds; each seed has days and held-out problems of its own. 16 requests at once, so which of two
 * that came together is remembered first is not the same in every run; times per problem are of one request at a time.
 */

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureCurves } from './evolve/curves.ts'
import { observeDays, plotDays } from './evolve/days.ts'
import { observeFar } from './evolve/far.ts'
import { measureForgetting } from './evolve/forgetting.ts'
import { liveThrough } from './evolve/lives.ts'
import { measurePoisoning } from './evolve/poisoning.ts'
import { FULL, PUBLISHED_SEEDS, QUICK } from './evolve/sizes.ts'
import { openWorkbench } from './quality/workbench.ts'
import { describeMachine } from './report/machine.ts'
import { drawPlots } from './report/plot.ts'

const PARTS = ['days', 'curves', 'far', 'forgetting', 'poisoning']
const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: PARTS.join() },
    seeds: { type: 'string', default: PUBLISHED_SEEDS.join() },
    quick: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const DOCS = join(import.meta.dirname, '../docs/bench')
const sizes = values.quick ? QUICK : FULL
const seeds = values.seeds
  .split(',')
  .map(Number)
  .slice(0, values.quick ? 1 : undefined)
const parts = new Set(values.parts.split(','))
const unknown = [...parts].filter((name) => !PARTS.includes(name))
if (unknown.length > 0) throw new Error(`parts: expected some of ${PARTS}, got ${unknown}`)

const machine = describeMachine()
await using bench = await openWorkbench()
const { id: model, fingerprint, profile } = bench.engine.model
console.log(`# Days and nights of ${model}, seeds ${seeds.join(', ')}\n\n${JSON.stringify(machine)}`)

/** By part; each says what it was measured on, since parts may be run one by one. */
const measured: Record<string, object> = {}
async function part(names: readonly string[], measure: () => Promise<Record<string, object>>) {
  const wanted = names.filter((name) => parts.has(name))
  if (wanted.length === 0) return
  const started = performance.now()
  const reports = await measure()
  const seconds = Math.round((performance.now() - started) / 1000)
  console.log(`\n${wanted.join(' and ')}: ${seconds} s`)
  const on = { machine, model, fingerprint, defaults: profile.defaults, seeds, sizes, seconds }
  for (const name of wanted) measured[name] = { ...on, ...reports[name] }
}

const days = observeDays(sizes)
const far = observeFar(sizes)
await part(['days', 'far'], async () => {
  await liveThrough(bench, seeds, sizes, [
    ...(parts.has('days') ? [days] : []),
    ...(parts.has('far') ? [far] : []),
  ])
  return {
    ...(parts.has('days') && { days: await reportDays() }),
    ...(parts.has('far') && { far: far.report() }),
  }
})
await part(['curves'], async () => ({ curves: await measureCurves(bench, seeds[0]!, sizes.curves) }))
await part(['forgetting'], async () => ({ forgetting: await measureForgetting(bench, seeds, sizes) }))
await part(['poisoning'], async () => ({ poisoning: await measurePoisoning(bench, seeds, sizes) }))

async function reportDays(): Promise<object> {
  const report = days.report()
  if (values.docs) await writeFile(join(DOCS, 'evolve-days.svg'), drawPlots(plotDays(report.days)))
  return report
}

const record = (parts: object) => `${JSON.stringify(parts, null, 2)}\n`
if (values.json !== undefined) await writeFile(values.json, record(measured))
if (values.docs) {
  // Parts that were not run now stay as they are.
  const file = join(DOCS, 'evolve.json')
  const known = await readFile(file, 'utf8').then(JSON.parse, () => ({}))
  await writeFile(file, record({ ...known, ...measured }))
}
