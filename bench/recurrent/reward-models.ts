/**
 * @file Latent reward models of a depth-recurrent model on held-out questions: by the number of recurrences that they see, and on
 * families of problems that they were not taught.
 */

import { aucOf, bootstrapByQuestion, withinQuestionAuc } from '#algorithms'
import type { Engine } from '#engine'
import { concurrently, mean } from '#evaluation'
import type { GraphRunner } from '#ports'
import { type Family, families, makeProblems } from '../../models/recurrent/problems.ts'
import { type TrainedOn, trainOn } from '../quality/lto/training.ts'
import { progress } from '../report/progress.ts'
import type { Measurement } from '../report/records.ts'
import { type Cell, printTable } from '../report/table.ts'
import type { Problem, Problems } from './problems.ts'
import { drawSamples, examplesOf, type Sampled, scoresOf } from './samples.ts'
import { estimate } from './thinking.ts'
import { plainScorers } from './within.ts'

const TAUGHT_SAMPLES = 8
const JUDGED_SAMPLES = 4
const TAUGHT_SEED = 7

/** Answers to the same held-out questions, drawn once a seed. */
interface Judged {
  readonly steps: number
  readonly runs: readonly (readonly Sampled[])[]
}

/** One score per sample: of each run, of each of its questions. */
export type Scores = readonly (readonly (readonly number[])[])[]

export interface Material {
  readonly steps: number
  /** A reward model is trained with each seed, and judges the answers that were drawn with it. */
  readonly seeds: readonly number[]
  /** Answers that teach: as many questions of each family. */
  readonly taught: Readonly<Record<Family, readonly Sampled[]>>
  readonly judged: Judged
}

/** Draws the answers of all families; `taught` is a number of questions of each, `judged` one of them all. */
export async function drawMaterial(
  engine: Engine,
  { test, transfer }: Problems,
  {
    steps,
    seeds,
    taught,
    judged,
  }: {
    readonly steps: number
    readonly seeds: readonly number[]
    readonly taught: number
    readonly judged: number
  },
): Promise<Material> {
  const each = Math.ceil(judged / families.length)
  const asked = families.flatMap((family) => ofFamily([...test, ...transfer], family).slice(0, each))
  const teach = async (family: Family) =>
    await drawSamples(engine, taughtProblems(family, taught), {
      samples: TAUGHT_SAMPLES,
      seed: TAUGHT_SEED,
      steps,
    })
  const [sum, ball, walk] = await concurrently(families, 1, teach)
  progress(`samples of ${families.length} x ${taught} taught questions`)
  const runs = await concurrently(seeds, 1, (seed) =>
    drawSamples(engine, asked, { samples: JUDGED_SAMPLES, seed, steps }),
  )
  progress(`samples of ${asked.length} held-out questions`)
  return { steps, seeds, taught: { sum: sum!, ball: ball!, walk: walk! }, judged: { steps, runs } }
}

/** The first `count` questions of a family that training texts may have had, none twice. */
function taughtProblems(family: Family, count: number): readonly Problem[] {
  const options = { split: 'train', seed: 101, families: [family] } as const
  const problems = makeProblems({ ...options, count: 2 * count })
  return [...new Map(problems.map((problem) => [problem.question, problem])).values()].slice(0, count)
}

function ofFamily(problems: readonly Problem[], family: Family): readonly Problem[] {
  return problems.filter((problem) => problem.family === family)
}

/** As many taught questions as one family has, drawn from all. */
function mixtureOf(taught: Material['taught']): readonly Sampled[] {
  return Object.values(taught).flatMap((sampled) =>
    sampled.slice(0, Math.ceil(sampled.length / families.length)),
  )
}

/** Scores of reward models, one trained with each seed, which see the first `states` recurrences; all unless given. */
async function scoresOfModels(
  runner: GraphRunner,
  { seeds, judged }: Material,
  taught: readonly Sampled[],
  states?: number,
): Promise<Scores> {
  return await concurrently([...seeds.entries()], 1, async ([run, seed]) => {
    const model: TrainedOn | string = await trainOn(runner, examplesOf(taught, states), seed)
    if (typeof model === 'string') throw new Error(`reward model: expected a trained one, got ${model}`)
    const scores = await scoresOf(judged.runs[run]!, model, states)
    await model.close()
    progress(`reward model of seed ${seed}`)
    return scores
  })
}

/**
 * Scores that read no more of an answer than its question, and the convergence of its state. `other answers`: the share of right
 * ones among the answers to the question under the other seeds, which is all that can be known of its difficulty.
 */
function plainScores({ runs, steps }: Judged): Readonly<Record<string, Scores>> {
  const all = (score: (sampled: Sampled, run: number, question: number) => readonly number[]) =>
    runs.map((sampled, run) => sampled.map((each, question) => score(each, run, question)))
  const same = (value: number, { samples }: Sampled) => samples.map(() => value)
  const shares = runs.map((sampled) =>
    sampled.map(({ samples }) => mean(samples.map(({ correct }) => Number(correct)))),
  )
  const { convergence } = plainScorers(steps)
  return {
    'depth of the question': all((each) => same(-each.problem.depth, each)),
    'length of the question': all((each) => same(-each.problem.question.split(' ').length, each)),
    'convergence of the state': all(({ samples }) => convergence!(samples)),
    ...(runs.length > 1 && {
      'other answers to the question': all((each, run, question) => {
        const others = shares.filter((_, other) => other !== run)
        return same(mean(others.map((share) => share[question]!)), each)
      }),
    }),
  }
}

/**
 * AUC over all answers, mean over seeds; less that of `others` on the same answers; and AUC within questions. The intervals are
 * by bootstrap over questions, with the seeds of a question together.
 */
function measureScores(runs: Judged['runs'], scores: Scores, others: Scores) {
  const answers = (of: Scores) =>
    runs.map((sampled, run) =>
      sampled.flatMap(({ problem: { question }, samples }, index) =>
        samples.map(({ correct }, place) => ({ question, correct, score: of[run]![index]![place]! })),
      ),
    )
  const questions = answers(scores).flatMap((run) => run.map(({ question }) => question))
  const meanAuc = (of: Scores) => {
    const statistics = answers(of).map(aucOf)
    const size = questions.length / runs.length
    return (weights: Float64Array) =>
      mean(statistics.map((auc, run) => auc(weights.subarray(run * size, (run + 1) * size))))
  }
  const [own, other] = [meanAuc(scores), meanAuc(others)]
  const within = runs[0]!
    .map((_, index) => {
      const shares = runs.map((sampled, run) =>
        withinQuestionAuc({
          answers: sampled[index]!.samples.map(({ correct }, place) => ({
            correct,
            score: scores[run]![index]![place]!,
          })),
        }),
      )
      return mean(shares.filter((share) => !Number.isNaN(share)))
    })
    .filter((share) => !Number.isNaN(share))
  const figure = ({ value, low, high }: ReturnType<typeof estimate>) => ({ value, low, high })
  return {
    auc: figure(bootstrapByQuestion(questions, own)),
    less: figure(bootstrapByQuestion(questions, (weights) => own(weights) - other(weights))),
    within: { ...figure(estimate(within)), questions: within.length },
  }
}

type Measured = ReturnType<typeof measureScores>

function cellsOf({ auc, less, within }: Measured): Cell[] {
  return [auc, less, within].flatMap(({ value, low, high }) => [value, low ?? '-', high ?? '-'])
}

const COLUMNS = ['AUC', 'low', 'high'] as const

/** AUC of reward models that see the first states only, taught a mixture of all families. */
export async function measureStates(
  runner: GraphRunner,
  material: Material,
  counts: readonly number[],
): Promise<{ readonly measured: Measurement[]; readonly whole: Scores }> {
  const { judged, taught } = material
  const mixture = mixtureOf(taught)
  const byStates = new Map(
    await concurrently(counts, 1, async (states) => {
      progress(`${states} states`)
      return [states, await scoresOfModels(runner, material, mixture, states)] as const
    }),
  )
  const whole = byStates.get(counts.at(-1)!)!
  const scored: (readonly [string | number, Scores])[] = [...byStates, ...Object.entries(plainScores(judged))]
  const settings = { steps: material.steps, taught: mixture.length, samples: JUDGED_SAMPLES }
  const measured = scored.map(([name, scores], index) => ({
    part: 'auc by states',
    case: { score: typeof name === 'number' ? `recurrences 1 to ${name}` : name },
    n: judged.runs[0]!.length,
    figures: measureScores(judged.runs, scores, whole),
    ...(index === 0 && { settings }),
  }))
  printTable(
    `AUC of the latent reward model by the recurrences that it sees, ${mixture.length} questions taught`,
    ['score', ...COLUMNS, 'less all recurrences', 'low', 'high', 'within questions', 'low', 'high'],
    measured.map(({ case: { score }, figures }) => [score, ...cellsOf(figures)]),
  )
  return { measured, whole }
}

/**
 * AUC of reward models on each family: taught one family, or a mixture of all with as many questions; beside the scores
 * that need no training.
 */
export async function measureTransfer(
  runner: GraphRunner,
  material: Material,
  mixture: Scores | null,
): Promise<Measurement[]> {
  const { judged, taught, steps } = material
  const models = new Map<string, Scores>()
  for (const family of families) {
    progress(`taught ${family}`)
    models.set(family, await scoresOfModels(runner, material, taught[family]))
  }
  const mixed = mixture ?? (await scoresOfModels(runner, material, mixtureOf(taught)))
  const scored = [...models, ['a mixture of as many', mixed] as const, ...Object.entries(plainScores(judged))]
  const settings = { steps, taught: taught[families[0]].length, samples: JUDGED_SAMPLES }
  const measured = families.flatMap((family, place) => {
    const isOf = judged.runs[0]!.map(({ problem }) => problem.family === family)
    const only = <T>(runs: readonly (readonly T[])[]) =>
      runs.map((run) => run.filter((_, index) => isOf[index]))
    const own = only(models.get(family)!)
    return scored.map(([name, scores], index) => ({
      part: 'transfer',
      case: { judged: family, score: models.has(name) ? `taught ${name}` : name },
      n: only(judged.runs)[0]!.length,
      figures: measureScores(only(judged.runs), only(scores), own),
      ...(place + index === 0 && { settings }),
    }))
  })
  printTable(
    `AUC of the latent reward model by family, ${taught[families[0]].length} questions taught`,
    ['judged', 'score', ...COLUMNS, 'less its own', 'low', 'high', 'within questions', 'low', 'high', 'n'],
    measured.map(({ case: { judged: family, score }, figures, n }) => [
      family,
      score,
      ...cellsOf(figures),
      n,
    ]),
  )
  return measured
}
