/**
 * @file Bench of reward-model training against PyTorch: seconds per epoch, memory, and equal losses.
 *
 * `npm run bench:training -- [--python PATH] [--sizes bundled,larger] [--threads 1,2] [--epochs N] [--json
 * FILE]`
 *
 * `--python` names a Python that has PyTorch (python3 by default); without PyTorch only our side is
 * measured. `--epochs` counts the measured epochs; two more warm up.
 */

import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { describeMachine } from '#evaluation'
import { progress } from './report/progress.ts'
import { type Measurement, writeRecords } from './report/records.ts'
import { type Cell, printTable } from './report/table.ts'
import { type Compared, type Comparison, sideBySide } from './training/side-by-side.ts'
import { createWorkload, OPTIONS, SIZES } from './training/workload.ts'

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    sizes: { type: 'string', default: SIZES.map(({ name }) => name).join(',') },
    threads: { type: 'string', default: '1,2' },
    epochs: { type: 'string', default: '9' },
    json: { type: 'string' },
  },
})

const SEED = 1
const WARM_UP = 2
/** Number of first steps whose losses are compared. Rounding errors grow with every step. */
const COMPARED_STEPS = 8
/**
 * Upper bound on the relative difference. Correct losses agree to some 1e-7; without weight decay they
 * differ by 5e-5.
 */
const MAX_DIFFERENCE = 1e-5

const wanted = values.sizes.split(',').map((name) => {
  const size = SIZES.find((one) => one.name === name)
  if (size) return size
  throw new Error(`--sizes: expected some of ${SIZES.map((one) => one.name).join(', ')}, got ${name}`)
})
const epochs = Number(values.epochs)
const base = { python: values.python, warmUp: WARM_UP, logger: pino({ level: 'warn' }) }

const machine = describeMachine()
console.log(`# Training, measured\n\n${JSON.stringify(machine)}`)
const measured: Measurement[] = []
const times: Cell[][] = []
const losses: Cell[][] = []
let torch: string | null = null
for (const size of wanted) {
  const workload = await createWorkload(size, SEED)
  const shape = `${size.name}: ${size.layers} x ${size.width}, ${size.examples} answers`
  for (const threads of values.threads.split(',').map(Number)) {
    const comparison: Comparison = {
      ...base,
      threads,
      epochs: epochs + WARM_UP,
      dropout: OPTIONS.dropout,
      withLosses: false,
    }
    const timed = await sideBySide(workload, comparison)
    torch = timed.torch
    times.push([shape, threads, ...timesOf(timed), timed.ours.seconds.length])
    const { ours, pytorch } = timed
    const ratio = pytorch ? ours.median / pytorch.median : null
    measured.push({
      part: 'seconds',
      case: { network: shape, threads },
      n: ours.seconds.length,
      figures: { ours, pytorch, ratio, torch },
    })
    progress(`${shape}, ${threads} threads`)
  }
  const checked = await sideBySide(workload, {
    ...base,
    threads: 1,
    epochs: 2,
    warmUp: 0,
    dropout: 0,
    withLosses: true,
  })
  const difference = largestDifference(checked)
  losses.push([
    shape,
    ...lossesOf(checked),
    difference === null ? 'not compared' : difference.toExponential(1),
  ])
  measured.push({
    part: 'losses',
    case: { network: shape },
    n: COMPARED_STEPS,
    figures: { ours: checked.ours, pytorch: checked.pytorch, difference },
    settings: size,
  })
  if (difference !== null && !(difference <= MAX_DIFFERENCE)) {
    process.exitCode = 1
    console.error(
      `LOSSES DIFFER: expected ${MAX_DIFFERENCE} at most over ${COMPARED_STEPS} steps, got ${difference}`,
    )
  }
}

if (torch === null) {
  console.log(
    `\n**NOT COMPARED: "${values.python}" has no PyTorch. The figures are ours alone; name a Python that has it with --python.**`,
  )
}
printTable(
  `Seconds per epoch (median), batches of ${OPTIONS.batch}, PyTorch ${torch ?? 'missing'}`,
  [
    'network',
    'threads',
    'ours, s',
    'PyTorch, s',
    'ratio',
    'ours, peak MiB (training alone)',
    'PyTorch, peak MiB (training alone)',
    'epochs',
  ],
  times,
)
printTable(
  `Losses from the same weights, no dropout: largest relative difference over ${COMPARED_STEPS} steps`,
  [
    'network',
    'ours, first step',
    `ours, step ${COMPARED_STEPS}`,
    `PyTorch, step ${COMPARED_STEPS}`,
    'largest difference',
  ],
  losses,
)
if (values.json !== undefined) {
  await writeRecords(values.json, { bench: 'training', machine, seeds: [SEED] }, measured)
}

function timesOf({ ours, pytorch }: Compared): Cell[] {
  const memory = (side: Compared['pytorch']) =>
    side ? `${Math.round(side.peakMiB)} (${Math.round(side.trainingMiB)})` : 'not measured'
  return [
    ours.median,
    pytorch?.median ?? 'not measured',
    pytorch ? (ours.median / pytorch.median).toFixed(2) : 'not measured',
    memory(ours),
    memory(pytorch),
  ]
}

function lossesOf({ ours, pytorch }: Compared): Cell[] {
  const at = (step: number, side: Compared['pytorch']) => side?.losses[step]?.toFixed(6) ?? 'not measured'
  return [at(0, ours), at(COMPARED_STEPS - 1, ours), at(COMPARED_STEPS - 1, pytorch)]
}

function largestDifference({ ours, pytorch }: Compared): number | null {
  if (!pytorch) return null
  const pairs = ours.losses
    .slice(0, COMPARED_STEPS)
    .map((loss, step) => [loss, pytorch.losses[step]!] as const)
  if (pairs.length < COMPARED_STEPS) return Number.NaN
  return Math.max(...pairs.map(([a, b]) => Math.abs(a - b) / Math.abs(b)))
}
