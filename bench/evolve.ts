/**
 * @file Bench of days and nights: LatentEvolve on the bundled model, from an empty memory.
 *
 * `npm run bench:evolve -- [--parts days,curves,far,controls,forgetting,poisoning]
 * [--seeds 20261121,20261122,20261123] [--quick] [--docs] [--json FILE]`
 *
 * `--quick` measures very little of everything, to see that the bench runs. `--docs` writes
 * bench/results/evolve.jsonl and the plot of the days. Curves use the first seed only.
 *
 * Days ask problems of the training split and give no answers: the model judges itself. Figures are measured
 * on held-out problems, the same ones every day, with learning off. First pass means right without an
 * optimiser step. Figures are means with, in brackets, their standard errors over problems and over seeds;
 * each seed has days and held-out problems of its own. 16 requests run at once, so the order of episodes
 * differs between runs; times per problem are those of one request at a time.
 */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine, drawPlots } from '#evaluation'
import { observeControls } from './evolve/controls.ts'
import { measureCurves } from './evolve/curves.ts'
import { observeDays, plotDays } from './evolve/days.ts'
import { observeFar } from './evolve/far.ts'
import { measureForgetting } from './evolve/forgetting.ts'
import { liveThrough } from './evolve/lives.ts'
import { measurePoisoning } from './evolve/poisoning.ts'
import { RECORDS, type Reports } from './evolve/records.ts'
import { FULL, PUBLISHED_SEEDS, QUICK } from './evolve/sizes.ts'
import { openWorkbench } from './quality/workbench.ts'
import { type Measurement, updateRecords, writeRecords } from './report/records.ts'

const PARTS = ['days', 'curves', 'far', 'controls', 'forgetting', 'poisoning']
const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: PARTS.join() },
    seeds: { type: 'string', default: PUBLISHED_SEEDS.join() },
    quick: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const PLOTS = join(import.meta.dirname, '../docs/bench')
const RESULTS = join(import.meta.dirname, 'results')
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

/** Records of all parts. Each part begins with its settings, because parts may be run one by one. */
const measured: Measurement[] = []
async function part(names: readonly (keyof Reports)[], measure: () => Promise<Partial<Reports>>) {
  const wanted = names.filter((name) => parts.has(name))
  if (wanted.length === 0) return
  const started = performance.now()
  const reports = await measure()
  const seconds = Math.round((performance.now() - started) / 1000)
  console.log(`\n${wanted.join(' and ')}: ${seconds} s`)
  const settings = { model, fingerprint, defaults: profile.defaults, sizes }
  for (const name of wanted) {
    measured.push({ part: name, case: {}, n: null, figures: { seconds }, settings })
    measured.push(...recordsOf(name, reports))
  }
}

function recordsOf<Part extends keyof Reports>(name: Part, reports: Partial<Reports>): Measurement[] {
  const report = reports[name]
  return report === undefined ? [] : RECORDS[name](report)
}

const days = observeDays(sizes)
const far = observeFar(sizes)
const controls = observeControls(sizes)
await part(['days', 'far', 'controls'], async () => {
  await liveThrough(bench, seeds, sizes, [
    ...(parts.has('days') ? [days] : []),
    ...(parts.has('far') ? [far] : []),
    ...(parts.has('controls') ? [controls] : []),
  ])
  return {
    ...(parts.has('days') && { days: await reportDays() }),
    ...(parts.has('far') && { far: far.report() }),
    ...(parts.has('controls') && { controls: controls.report() }),
  }
})
await part(['curves'], async () => ({ curves: await measureCurves(bench, seeds[0]!, sizes.curves) }))
await part(['forgetting'], async () => ({ forgetting: await measureForgetting(bench, seeds, sizes) }))
await part(['poisoning'], async () => ({ poisoning: await measurePoisoning(bench, seeds, sizes) }))

async function reportDays(): Promise<Reports['days']> {
  const report = days.report()
  if (values.docs) await writeFile(join(PLOTS, 'evolve-days.svg'), drawPlots(plotDays(report.days)))
  return report
}

const run = { bench: 'evolve', machine, seeds }
if (values.json !== undefined) await writeRecords(values.json, run, measured)
// Parts that were not run now keep their records.
if (values.docs) await updateRecords(join(RESULTS, 'evolve.jsonl'), run, measured)
