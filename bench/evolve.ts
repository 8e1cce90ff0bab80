/**
 * @file What days and nights are worth: LatentEvolve on the bundled model, from an empty memory.
 *
 * `npm run bench:evolve -- [--parts days,curves,far,forgetting,poisoning] [--seeds 20261121,20261122,20261123] [--quick] [--docs]
 * [--json FILE]`. `--quick` measures very little of everything, to see that it runs; `--docs` writes docs/bench/evolve.json and the
 * plot of the days; curves are of the first seed.
 *
 * Days ask problems of the training split and give no answers: only the model judges itself. What is reported is measured on
 * problems that are held out, the same ones every day, with learning off. Figures are means with their standard errors in brackets,
 * over problems and over seeds; each seed has days and held-out problems of its own. 16 requests at once, so which of two
 * that came together is remembered first is not the same in every run; times per problem are of one request at a time.
 */

import { mkdir, writeFile } from 'node:fs/promises'
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

const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: 'days,curves,far,forgetting,poisoning' },
    seeds: { type: 'string', default: PUBLISHED_SEEDS.join() },
    quick: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const sizes = values.quick ? QUICK : FULL
const seeds = values.seeds
  .split(',')
  .map(Number)
  .slice(0, values.quick ? 1 : undefined)
const parts = new Set(values.parts.split(','))

const machine = describeMachine()
await using bench = await openWorkbench()
const { id: model, fingerprint, profile } = bench.engine.model
console.log(`# Days and nights of ${model}, seeds ${seeds.join(', ')}\n\n${JSON.stringify(machine)}`)

const measured: Record<string, object> = {}
const seconds: Record<string, number> = {}
async function part(names: readonly string[], measure: () => Promise<Record<string, object>>) {
  if (!names.some((name) => parts.has(name))) return
  const started = performance.now()
  Object.assign(measured, await measure())
  seconds[names.join(' and ')] = Math.round((performance.now() - started) / 1000)
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
console.log(`\nSeconds: ${JSON.stringify(seconds)}`)

async function reportDays(): Promise<object> {
  const report = days.report()
  if (values.docs) await writeDocs('evolve-days.svg', drawPlots(plotDays(report.days)))
  return report
}

async function writeDocs(name: string, content: string): Promise<void> {
  const folder = join(import.meta.dirname, '../docs/bench')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, name), content)
}

const record = { machine, model, fingerprint, defaults: profile.defaults, seeds, sizes, seconds, ...measured }
const json = `${JSON.stringify(record, null, 2)}\n`
if (values.docs) await writeDocs('evolve.json', json)
if (values.json !== undefined) await writeFile(values.json, json)
