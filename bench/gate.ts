/**
 * @file Bench of the gates: what they promote on simulated nights whose true effect is known. Needs no model.
 *
 * `npm run bench:gate -- [--runs 1000] [--json FILE]`
 *
 * The assumptions are in gate/simulate.ts. Where a candidate is harmful, the trial with memory repeats the
 * outcomes without memory, and cannot reject it a second time; where it is good, that trial draws outcomes of
 * its own, and may reject it. Both make the gate look worse than it is.
 */

import { parseArgs } from 'node:util'
import { describeMachine } from '#evaluation'
import { createRandom } from '#tensor'
import {
  countPromoted,
  driftOf,
  judgeRewardModelNight,
  judgeWeaverNight,
  QUESTIONS,
  type RewardModelNight,
  type WeaverNight,
} from './gate/simulate.ts'
import { progress } from './report/progress.ts'
import { type Measurement, writeRecords } from './report/records.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '1000' }, json: { type: 'string' } },
})
const runs = Number(values.runs)
const NIGHTS = 30
const ACCURACY = 0.7
const AUC = 0.85
/** The candidate saves half of the searches. */
const SAVING = 0.725

const active = { accuracy: ACCURACY }
const weaverNights: readonly (readonly [string, string, WeaverNight])[] = [
  [
    'loses .03 accuracy, saves half of the searches',
    '<= 5 %',
    { candidate: { accuracy: 0.67, firstPass: SAVING }, active },
  ],
  [
    'loses .05 accuracy, saves half of the searches',
    '<= 5 %',
    { candidate: { accuracy: 0.65, firstPass: SAVING }, active },
  ],
  ['gains .05 accuracy', '>= 80 %', { candidate: { accuracy: 0.75 }, active, ownGuard: true }],
  [
    'same accuracy, saves half of the searches',
    '-',
    { candidate: { accuracy: ACCURACY, firstPass: SAVING }, active, ownGuard: true },
  ],
  ['same in everything', '-', { candidate: active, active }],
  [
    'gives the false answers of a tenant with 5 % of the questions, loses .03 elsewhere',
    '<= 5 %',
    {
      candidate: { accuracy: 0.67, firstPass: SAVING, liarAccuracy: 1 },
      active: { ...active, liarAccuracy: 0 },
      liarShare: 0.05,
    },
  ],
  [
    'gives the false answers of a tenant with 20 % of the questions, loses .03 elsewhere',
    '<= 5 %',
    {
      candidate: { accuracy: 0.67, firstPass: SAVING, liarAccuracy: 1 },
      active: { ...active, liarAccuracy: 0 },
      liarShare: 0.2,
    },
  ],
  [
    'gives the false answers of a tenant with 20 % of the questions, same elsewhere',
    '-',
    { candidate: { ...active, liarAccuracy: 1 }, active: { ...active, liarAccuracy: 0 }, liarShare: 0.2 },
  ],
  [
    'saves half of the searches; 20 labels, all against it',
    'no veto',
    {
      candidate: { accuracy: ACCURACY, firstPass: SAVING },
      active,
      ownGuard: true,
      labels: { count: 20, correct: { candidate: false, active: true } },
    },
  ],
  [
    'same in everything; 20 labels, all for it',
    'as without labels',
    { candidate: active, active, labels: { count: 20, correct: { candidate: true, active: false } } },
  ],
  ['same in everything; no labels', '-', { candidate: active, active, labels: { count: 0 } }],
]
const rewardModelNights: readonly (readonly [string, string, RewardModelNight])[] = [
  ['loses .01 within-question AUC', '<= 5 %', { candidate: AUC - 0.01, active: AUC }],
  ['loses .02 within-question AUC', '<= 5 %', { candidate: AUC - 0.02, active: AUC }],
  ['gains .03 within-question AUC', '-', { candidate: AUC + 0.03, active: AUC }],
  ['same as the active one', '-', { candidate: AUC, active: AUC }],
  ['first; knows only how hard a question is', '<= 5 %', { candidate: 'difficulty', active: null }],
  [
    'knows only how hard a question is, the active one too',
    '<= 5 %',
    { candidate: 'difficulty', active: 'difficulty' },
  ],
  ['first; within-question AUC .65', '-', { candidate: 0.65, active: null }],
]

const measured: Measurement[] = []
const machine = describeMachine()
console.log(`# Gates, simulated\n\n${JSON.stringify(machine)}`)

function promotions<Night>(
  part: string,
  nights: readonly (readonly [string, string, Night])[],
  judge: (night: Night, random: ReturnType<typeof createRandom>) => { readonly promoted: boolean },
): void {
  const rows = nights.map(([name, aim, night]) => {
    const promoted = countPromoted(runs, (random) => judge(night, random))
    const [low, high] = wilson(promoted, runs)
    progress(`${part}: ${name}`)
    measured.push({
      part,
      case: { candidate: name },
      n: runs,
      figures: { promoted: promoted / runs, low, high },
    })
    return [name, percent(promoted / runs), `${percent(low)} to ${percent(high)}`, aim]
  })
  printTable(`${part}, ${runs} nights each`, ['candidate', 'promoted', '95 % interval', 'aim'], rows)
}

promotions(`weaver, ${QUESTIONS} questions`, weaverNights, judgeWeaverNight)
promotions(`reward model, ${QUESTIONS} mixed questions`, rewardModelNights, judgeRewardModelNight)

const series = [
  {
    name: 'weaver: candidates that change nothing',
    drawEffect: () => 0,
    weaver: true,
  },
  {
    name: 'weaver: candidates that lose 0 to .03 and save half of the searches',
    drawEffect: (random: ReturnType<typeof createRandom>) => -0.03 * random.uniform(),
    weaver: true,
    firstPass: SAVING,
  },
  { name: 'reward model: candidates that change nothing', drawEffect: () => 0, weaver: false },
  {
    name: 'reward model: candidates that lose 0 to .02',
    drawEffect: (random: ReturnType<typeof createRandom>) => -0.02 * random.uniform(),
    weaver: false,
  },
]
const driftRuns = Math.max(1, Math.round(runs / 10))
const driftRows = series.map(({ name, drawEffect, weaver, firstPass }) => {
  const drifts = Array.from({ length: driftRuns }, (_, run) => {
    const random = createRandom(run, 7)
    return driftOf(
      NIGHTS,
      weaver ? ACCURACY : AUC,
      ({ active: now, anchor, effect }) =>
        weaver
          ? judgeWeaverNight(
              {
                candidate: { accuracy: now + effect, ...(firstPass !== undefined && { firstPass }) },
                active: { accuracy: now },
                anchor: { accuracy: anchor },
              },
              random,
            )
          : judgeRewardModelNight({ candidate: now + effect, active: now, anchor }, random),
      () => drawEffect(random),
    )
  })
  const changes = drifts.map(({ change }) => change)
  const mean = changes.reduce((sum, change) => sum + change, 0) / driftRuns
  const worst = Math.min(...changes)
  const promoted = drifts.reduce((sum, drift) => sum + drift.promoted, 0) / driftRuns
  progress(name)
  measured.push({ part: 'drift', case: { series: name }, n: driftRuns, figures: { mean, worst, promoted } })
  return [name, mean.toFixed(4), worst.toFixed(3), promoted.toFixed(1)]
})
printTable(
  `Drift over ${NIGHTS} nights, ${driftRuns} series each`,
  ['series', 'true change, mean', 'worst', 'promotions a series'],
  driftRows,
)
if (values.json !== undefined)
  await writeRecords(values.json, { bench: 'gate', machine, seeds: [] }, measured)

/** 95 % interval of a share (Wilson 1927). */
function wilson(hits: number, count: number): readonly [number, number] {
  const z = 1.96
  const share = hits / count
  const centre = (share + (z * z) / (2 * count)) / (1 + (z * z) / count)
  const half =
    (z / (1 + (z * z) / count)) * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count))
  return [Math.max(0, centre - half), Math.min(1, centre + half)]
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
