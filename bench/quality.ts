/**
 * @file Bench of the strategies' quality on the bundled model.
 *
 * `npm run bench:quality -- [--count 504] [--remembered 300] [--seed 20261121] [--no-curves] [--json FILE]`
 * measures latent search and memory.
 *
 * `npm run bench:quality -- --lto [--count 504] [--taught 800] [--seed 20261121] [--no-curves] [--quick]
 * [--docs] [--json FILE]` trains a reward model and measures selection among samples by it. `--quick`
 * measures less of everything, to see that the bench runs; `--docs` writes the curves to docs/bench/.
 *
 * Problems are held out of training, and the default seed was not used to choose a default of the profile
 * (models/order-of-operations).
 */

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine } from '#evaluation'
import { measureLto } from './quality/lto.ts'
import { ltoRecords, strategyRecords } from './quality/records.ts'
import { measureStrategies } from './quality/strategies.ts'
import { openWorkbench } from './quality/workbench.ts'
import { type Measurement, writeRecords } from './report/records.ts'

const { values } = parseArgs({
  options: {
    lto: { type: 'boolean', default: false },
    count: { type: 'string' },
    remembered: { type: 'string', default: '300' },
    taught: { type: 'string' },
    seed: { type: 'string', default: '20261121' },
    curves: { type: 'boolean', default: true },
    quick: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
  allowNegative: true,
})
const { quick, curves } = values
const seed = Number(values.seed)
const count = Number(values.count ?? (quick ? 24 : 504))

const machine = describeMachine()
console.log(JSON.stringify(machine))
await using bench = await openWorkbench()
const { id: model, fingerprint, profile } = bench.engine.model
const settings = { model, fingerprint, defaults: profile.defaults }
const { bench: name, measured } = values.lto ? await lto() : await strategies()
if (values.json !== undefined) {
  const [first, ...others] = measured
  await writeRecords(values.json, { bench: name, machine, seeds: [seed] }, [
    ...(first ? [{ ...first, settings }] : []),
    ...others,
  ])
}

interface Named {
  readonly bench: string
  readonly measured: readonly Measurement[]
}

async function strategies(): Promise<Named> {
  const remembered = Number(values.remembered)
  const report = await measureStrategies(bench, { count, remembered, seed, curves })
  return { bench: 'quality', measured: strategyRecords(report) }
}

async function lto(): Promise<Named> {
  const report = await measureLto(bench, {
    count,
    seed,
    quick,
    curves,
    taught: Number(values.taught ?? (quick ? 160 : 800)),
    docs: values.docs ? join(import.meta.dirname, '../docs/bench') : null,
  })
  return { bench: 'lto', measured: ltoRecords(report) }
}
