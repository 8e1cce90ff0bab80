/**
 * @file Bench of depth-recurrent models: accuracy by the number of recurrences, adaptive thinking, the latent reward model over
 * the recurrences, LTO by it, and the time of a recurrence.
 *
 * `npm run bench:recurrent -- [--model models/recurrent] [--problems 500] [--taught 600] [--thinking STEPS] [--seeds
 * 1,2,3] [--fresh 600] [--parts tolerance,steps,adaptive,selection,within,states,transfer,cost] [--python python3] [--threads 1]
 * [--json FILE]`
 *
 * A greedy answer depends on no seed but that of its noise; here each seed is one. `--python` names a Python with PyTorch for the
 * reference loop. `--fresh` is the number of further held-out questions of the part `within`. `--thinking` sets the
 * recurrences of the samples; the profile's unless given. In the parts `states` and `transfer`, `--taught` counts the questions of
 * each family, and `--problems` those of all families together.
 */

import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { ltoDistribution, majorityVote, weightedMajority } from '#algorithms'
import { createEngine, createTrainer, type Engine, loadModelDirectory, type ModelDirectory } from '#engine'
import { concurrently, describeMachine, mean } from '#evaluation'
import type { GraphRunner } from '#ports'
import { makeProblems } from '../models/recurrent/problems.ts'
import { type TrainedOn, trainOn } from './quality/lto/training.ts'
import { measureCost } from './recurrent/cost.ts'
import { type Problem, type Problems, readProblems } from './recurrent/problems.ts'
import { drawMaterial, measureStates, measureTransfer, type Scores } from './recurrent/reward-models.ts'
import { drawSamples, examplesOf, type Sample, type Sampled, scoresOf } from './recurrent/samples.ts'
import { difference, estimate, think } from './recurrent/thinking.ts'
import { depthExamples, plainScorers, type Scorer, withinAuc } from './recurrent/within.ts'
import { progress } from './report/progress.ts'
import { type Measurement, updateRecords } from './report/records.ts'
import { printTable } from './report/table.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/recurrent' },
    problems: { type: 'string', default: '500' },
    taught: { type: 'string', default: '600' },
    fresh: { type: 'string', default: '600' },
    thinking: { type: 'string' },
    seeds: { type: 'string', default: '1,2,3' },
    parts: { type: 'string', default: 'steps,adaptive,selection,states,transfer,cost' },
    python: { type: 'string', default: 'python3' },
    threads: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})
const seeds = values.seeds.split(',').map(Number)
const parts = new Set(values.parts.split(','))
const MAX_SAMPLES = 8
const DEPTHS = [
  [1, 4],
  [5, 8],
  [9, Number.POSITIVE_INFINITY],
] as const

const measured: Measurement[] = []
const machine = describeMachine()
const logger = pino({ level: 'warn' })

/** Writes the records of the parts measured so far. */
async function saveRecords(): Promise<void> {
  if (values.json) await updateRecords(values.json, { bench: 'recurrent', machine, seeds }, measured)
}

function startEngine(directory: string | ModelDirectory): Promise<Engine> {
  const threads = Number(values.threads)
  return createEngine({ directory, executionProvider: 'cpu', cudaDevice: 0, threads, logger })
}

/** Counts 1, 2, 4, ... up to `most`, with `others` among them. */
function powersOfTwo(most: number, ...others: readonly number[]): number[] {
  const powers = Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i)
  return [...new Set([...powers, ...others, most])].filter((count) => count <= most).sort((a, b) => a - b)
}

async function measureSteps(engine: Engine, problems: readonly Problem[]): Promise<void> {
  const { maxSteps } = engine.model.profile.recurrence!
  const rows = []
  for (const steps of powersOfTwo(maxSteps, 3, 6, 12, 24)) {
    const { right } = await think(engine, problems, { thinking: { steps }, seeds })
    const accuracy = estimate(right)
    const byDepth = DEPTHS.map(([from, to]) =>
      mean(right.filter((_, index) => problems[index]!.depth >= from && problems[index]!.depth <= to)),
    )
    progress(`${steps} steps`)
    rows.push([steps, accuracy.value, accuracy.low ?? '-', accuracy.high ?? '-', ...byDepth])
    const figures = { ...accuracy, byDepth: { 'to 4': byDepth[0], 'to 8': byDepth[1], above: byDepth[2] } }
    measured.push({ part: 'steps', case: { steps }, n: problems.length, figures })
  }
  printTable(
    'Greedy accuracy by thinking steps, mean over seeds of noise',
    ['steps', 'accuracy', 'low', 'high', 'depth 1-4', '5-8', '9 and more'],
    rows,
  )
}

const TOLERANCES = [0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01]

/**
 * Sweeps the tolerance on questions that teach, from which the profile's is chosen: the test stays apart. Each tolerance is a
 * profile, and so an engine, of its own.
 */
async function measureTolerances(problems: readonly Problem[]): Promise<void> {
  const directory = await loadModelDirectory(values.model)
  const { profile } = directory.info
  const recurrence = profile.recurrence!
  const rows: (string | number)[][] = []
  for (const tolerance of TOLERANCES) {
    const info = { ...directory.info, profile: { ...profile, recurrence: { ...recurrence, tolerance } } }
    const engine = await startEngine({ ...directory, info })
    const thinking = [{ steps: recurrence.steps }, { adaptive: true }]
    const [fixed, adaptive] = await concurrently(thinking, 1, (each) =>
      think(engine, problems, { thinking: each, seeds }),
    )
    await engine.close()
    const { value, low, high } = difference(adaptive!.right, fixed!.right)
    const share = mean(adaptive!.recurrences) / recurrence.steps
    rows.push([tolerance, mean(adaptive!.right), value, low ?? '-', high ?? '-', share])
    measured.push({
      part: 'tolerance',
      case: { tolerance },
      n: problems.length,
      figures: { value, low, high, share },
    })
    progress(`tolerance ${tolerance}`)
  }
  printTable(
    `Adaptive thinking by tolerance, ${problems.length} questions that teach`,
    ['tolerance', 'accuracy', 'less fixed', 'low', 'high', 'share of the recurrences'],
    rows,
  )
}

/** Adaptive thinking beside a fixed number of steps, which is also its limit: the profile's, and longer ones. */
async function measureAdaptive(engine: Engine, problems: readonly Problem[]): Promise<void> {
  const { steps: own, maxSteps, tolerance } = engine.model.profile.recurrence!
  if (tolerance === undefined) {
    console.log('\n**NOT MEASURED: the profile has no tolerance for adaptive thinking.**')
    return
  }
  const rows: (string | number)[][] = []
  for (const steps of powersOfTwo(maxSteps, own).filter((count) => count >= own)) {
    const fixed = await think(engine, problems, { thinking: { steps }, seeds })
    const adaptive = await think(engine, problems, { thinking: { steps, adaptive: true }, seeds })
    const share = mean(adaptive.recurrences) / steps
    const gain = difference(adaptive.right, fixed.right)
    rows.push([
      steps,
      mean(fixed.right),
      mean(adaptive.right),
      gain.value,
      gain.low ?? '-',
      gain.high ?? '-',
      share,
    ])
    const figures = {
      fixed: estimate(fixed.right),
      adaptive: estimate(adaptive.right),
      difference: gain,
      share,
    }
    measured.push({ part: 'adaptive', case: { steps, tolerance }, n: problems.length, figures })
    progress(`adaptive, at most ${steps} steps`)
  }
  printTable(
    `Adaptive thinking, tolerance ${tolerance}: recurrences of the tokens of the answer`,
    ['steps at most', 'fixed', 'adaptive', 'difference', 'low', 'high', 'share of the recurrences'],
    rows,
  )
}

async function train(runner: GraphRunner, ...of: Parameters<typeof examplesOf>): Promise<TrainedOn> {
  const trained = await trainOn(runner, examplesOf(...of), seeds[0]!)
  if (typeof trained === 'string') throw new Error(`reward model: expected a trained one, got ${trained}`)
  return trained
}

/** P(right) of the answer that each rule chooses among the first `count` samples; exact over the rule's own draw. */
function rulesOf(count: number, beta: number) {
  const first = (samples: readonly Sample[]) => samples.slice(0, count)
  const votes = (samples: readonly Sample[], scores: readonly number[] | null) =>
    first(samples).map(({ answer, reward }, index) => ({ answer, reward, weight: scores?.[index] ?? 1 }))
  const right = (samples: readonly Sample[], index: number) => Number(samples[index]!.correct)
  return {
    'random choice': (samples: readonly Sample[]) =>
      mean(first(samples).map(({ correct }) => Number(correct))),
    majority: (samples: readonly Sample[]) => right(samples, majorityVote(first(samples))),
    'LRM-weighted majority': (samples: readonly Sample[], scores: readonly number[]) =>
      right(samples, weightedMajority(votes(samples, scores))),
    lto: (samples: readonly Sample[], scores: readonly number[]) => {
      const chances = ltoDistribution(scores.slice(0, count), beta)
      return first(samples).reduce((sum, _, index) => sum + chances[index]! * right(samples, index), 0)
    },
    'oracle: one is right': (samples: readonly Sample[]) =>
      Number(first(samples).some(({ correct }) => correct)),
  }
}

/** One value per problem: the mean over the seeds. */
function overSeeds(runs: readonly (readonly number[])[]): number[] {
  return runs[0]!.map((_, problem) => mean(runs.map((run) => run[problem]!)))
}

/** Measures the choice among samples by one reward model, and their order. */
async function measureLto(engine: Engine, { train: taughtFrom, test }: Problems): Promise<void> {
  const { beta } = engine.model.profile.defaults
  const steps = Number(values.thinking ?? engine.model.profile.recurrence!.steps)
  const draw = (problems: readonly Problem[], seed: number) =>
    drawSamples(engine, problems, { samples: MAX_SAMPLES, seed, steps })
  const taught = await draw(taughtFrom.slice(0, Number(values.taught)), 7)
  progress(`samples of ${taught.length} taught questions`)
  const problems = test.slice(0, Number(values.problems))
  const drawn = await concurrently(parts.has('selection') ? seeds : [], 1, (seed) => draw(problems, seed))
  progress('samples of the test')
  const trainer = await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger })
  try {
    const whole = await train(trainer, taught)
    progress('reward model')
    if (parts.has('selection')) {
      const greedy = await think(engine, problems, { thinking: { steps }, seeds: [0] })
      await measureSelection(whole, drawn, greedy.right, { beta, steps })
    }
    if (parts.has('within')) {
      const verdicts = { samples: MAX_SAMPLES, steps, verdicts: true }
      const known = [...taughtFrom, ...test].map(({ question }) => question)
      await measureWithin(trainer, whole, {
        taught,
        steps,
        asked: {
          test: await drawSamples(engine, problems, { ...verdicts, seed: seeds[0]! }),
          fresh: await drawSamples(engine, freshProblems(known), { ...verdicts, seed: FRESH_SEED }),
        },
      })
    }
    await whole.close()
  } finally {
    await trainer.close()
  }
}

/** Measures reward models, each trained with a seed of its own, by what they see and by what they were taught. */
async function measureRewardModels(engine: Engine, problems: Problems): Promise<void> {
  const steps = Number(values.thinking ?? engine.model.profile.recurrence!.steps)
  const [taught, judged] = [Number(values.taught), Number(values.problems)]
  const material = await drawMaterial(engine, problems, { steps, seeds, taught, judged })
  const trainer = await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger })
  try {
    let mixture: Scores | null = null
    if (parts.has('states')) {
      const states = await measureStates(trainer, material, powersOfTwo(steps))
      mixture = states.whole
      measured.push(...states.measured)
      await saveRecords()
    }
    if (parts.has('transfer')) measured.push(...(await measureTransfer(trainer, material, mixture)))
  } finally {
    await trainer.close()
  }
}

const FRESH_SEED = 31
/** Families of the problems with records; the deepest of the easier half of them. */
const FRESH_FAMILIES = ['sum', 'ball'] as const
const DEEPEST_EASY = 6

/** Held-out problems of the bundled model that are not among the `known` questions. */
function freshProblems(known: readonly string[]): readonly Problem[] {
  const count = Number(values.fresh)
  const options = { split: 'heldout', seed: 987_654, families: FRESH_FAMILIES } as const
  return makeProblems({ ...options, count: 2 * count })
    .filter(({ question }) => !known.includes(question))
    .slice(0, count)
}

/** Within-question AUC of the reward model, of a model that was taught depth, and of scores that need no training. */
async function measureWithin(
  runner: GraphRunner,
  whole: TrainedOn,
  {
    taught,
    steps,
    asked,
  }: {
    readonly taught: readonly Sampled[]
    readonly steps: number
    readonly asked: Readonly<Record<string, readonly Sampled[]>>
  },
): Promise<void> {
  const depth = await trainOn(runner, depthExamples(taught, DEEPEST_EASY), seeds[0]!)
  if (typeof depth === 'string') throw new Error(`model of the depth: expected a trained one, got ${depth}`)
  const rows: (string | number)[][] = []
  for (const [answers, sampled] of Object.entries(asked)) {
    const byModel = async (model: TrainedOn): Promise<Scorer> => {
      const scores = await scoresOf(sampled, model)
      const placed = new Map(sampled.map(({ samples }, index) => [samples, scores[index]!]))
      return (samples) => placed.get(samples)!
    }
    const scorers = {
      'latent reward model': await byModel(whole),
      'the same, taught depth': await byModel(depth),
      ...plainScorers(steps),
    }
    for (const [score, scorer] of Object.entries(scorers)) {
      for (const family of ['all', ...FRESH_FAMILIES]) {
        const own = sampled.filter(({ problem }) => family === 'all' || problem.family === family)
        const { value, low, high, n } = withinAuc(own, scorer)
        rows.push([score, answers, family, value, low ?? '-', high ?? '-', n])
        const figures = { value, low, high }
        const labels = { score, taught: taught.length, questions: answers, family }
        measured.push({ part: 'within question', case: labels, n, figures })
      }
    }
    progress(`order within questions, ${answers}`)
  }
  await depth.close()
  printTable(
    `AUC within questions at ${steps} steps, ${taught.length} taught`,
    ['score', 'questions', 'family', 'AUC', 'low', 'high', 'n'],
    rows,
  )
}

async function measureSelection(
  model: TrainedOn,
  drawn: readonly (readonly Sampled[])[],
  greedy: readonly number[],
  { beta, steps }: { readonly beta: number; readonly steps: number },
): Promise<void> {
  const scores = await concurrently(drawn, 1, (sampled) => scoresOf(sampled, model))
  const rows: (string | number)[][] = []
  const add = (
    name: string,
    count: number,
    right: readonly number[],
    others: Readonly<Record<string, readonly number[]>> = {},
  ) => {
    const accuracy = estimate(right)
    const gains = Object.fromEntries(
      Object.entries(others).map(([other, values]) => [other, difference(right, values)]),
    )
    const shown = Object.values(gains).map(
      ({ value, low, high }) => `${value.toFixed(3)} (${low?.toFixed(3)} to ${high?.toFixed(3)})`,
    )
    rows.push([name, count, accuracy.value, accuracy.low ?? '-', accuracy.high ?? '-', ...shown])
    measured.push({
      part: 'selection',
      case: { arm: name, samples: count },
      n: right.length,
      figures: { ...accuracy, less: gains },
      ...(count === 1 && { settings: { beta, steps } }),
    })
  }
  add('greedy', 1, greedy)
  for (const count of [5, MAX_SAMPLES]) {
    const arms = Object.fromEntries(
      Object.entries(rulesOf(count, beta)).map(([name, rule]) => [
        name,
        overSeeds(
          drawn.map((sampled, run) =>
            sampled.map(({ samples }, problem) => rule(samples, scores[run]![problem]!)),
          ),
        ),
      ]),
    )
    const { majority = [], 'random choice': random = [] } = arms
    for (const [name, right] of Object.entries(arms)) {
      const others = name === 'lto' || name === 'LRM-weighted majority' ? { greedy, majority, random } : {}
      add(name, count, right, others)
    }
  }
  printTable(
    `Choice among samples at ${steps} steps, beta ${beta}, mean over ${drawn.length} seeds`,
    ['arm', 'N', 'accuracy', 'low', 'high', 'less greedy', 'less majority', 'less random choice'],
    rows.map((row) => [...row, '', '', ''].slice(0, 8)),
  )
}

console.log(`# Depth-recurrent model ${values.model}\n\n${JSON.stringify(machine)}`)
const problems = await readProblems(values.model)
const tested = problems.test.slice(0, Number(values.problems))
if (parts.has('tolerance')) await measureTolerances(problems.train.slice(0, tested.length))
const engine = await startEngine(values.model)
try {
  if (parts.has('steps')) await measureSteps(engine, tested)
  if (parts.has('adaptive')) await measureAdaptive(engine, tested)
  if (parts.has('selection') || parts.has('within')) await measureLto(engine, problems)
  if (parts.has('states') || parts.has('transfer')) await measureRewardModels(engine, problems)
  if (parts.has('cost')) {
    const { python, model } = values
    const questions = tested.map(({ question }) => question)
    measured.push(
      ...(await measureCost(engine, questions, { python, model, threads: Number(values.threads) })),
    )
  }
} finally {
  await engine.close()
}
await saveRecords()
