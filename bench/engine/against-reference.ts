/**
 * @file LatentSeek in this engine against the loop of its published code: problems per second at equal
 * answers.
 */

import { cpus } from 'node:os'
import { type Engine, loadModelDirectory } from '#engine'
import { concurrently } from '#evaluation'
import { createSolver, type Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { mean } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { type BenchModel, bundledModel, largerModel, startEngine } from './models.ts'
import { createReferenceEngine } from './reference-engine.ts'
import { referenceLoop } from './reference-loop.ts'
import { loadReference } from './reference-model.ts'
import { withScriptedVerdicts } from './scripted-verdicts.ts'

const AT_ONCE = 16
/** One engine process per core: the use of `ENGINE_REPLICAS` for a model too small for two threads. */
const REPLICAS = cpus().length

/**
 * P(true) of the draft and of the first other answer, so that the search ends with the first change of a
 * token.
 */
const SCHEDULE = [0.1, 0.95]

/**
 * Compares both models. `answerTokens` is the length of the larger decoder's answers, which do not end by
 * themselves.
 */
export async function againstReference({
  count,
  answerTokens,
}: {
  readonly count: number
  readonly answerTokens: number
}): Promise<unknown> {
  const problems = makeProblems({ split: 'heldout', count, seed: 43 })
  const bundled = await compare(
    bundledModel(),
    problems.map(({ question }) => question),
    (engine) => engine,
    2,
  )
  const right = (solutions: readonly Solution[]) =>
    mean(solutions.map(({ answer }, index) => Number(answer === problems[index]?.answer)))
  const accuracy = {
    reference: right(bundled.solutions.reference),
    alone: right(bundled.solutions.alone),
    together: right(bundled.solutions.together),
    replicas: right(bundled.solutions.replicas),
  }
  report(`LatentSeek, bundled model, n = ${count}`, bundled, accuracy)

  const model = await largerModel()
  const larger = await compare(
    model,
    // A token changes after three updates here, about the mean of the bundled model (see "What each did").
    model.questions(2).slice(1),
    (engine) => withScriptedVerdicts(withAnswerTokens(engine, answerTokens), SCHEDULE),
    1,
  )
  report(
    `LatentSeek, larger decoder, answers of ${answerTokens} tokens, scripted rewards, n = 1`,
    larger,
    null,
  )
  return {
    bundled: { ...bundled, solutions: undefined, accuracy },
    larger: { ...larger, solutions: undefined },
  }
}

function withAnswerTokens(engine: Engine, maxNewTokens: number): Engine {
  const { model } = engine
  const defaults = { ...model.profile.defaults, maxNewTokens }
  return { ...engine, model: { ...model, profile: { ...model.profile, defaults } } }
}

type Side = 'reference' | 'alone' | 'together' | 'replicas'

interface Comparison {
  readonly n: number
  readonly threads: number
  /** Seconds for all problems; the fastest of the rounds. */
  readonly seconds: Readonly<Record<Side, number>>
  /** Answers with the reference's tokens and reward. */
  readonly agree: Readonly<Record<Exclude<Side, 'reference'>, number>>
  readonly solutions: Readonly<Record<Side, readonly Solution[]>>
  readonly work: readonly (readonly [string, ...number[]])[]
}

async function compare(
  model: BenchModel,
  questions: readonly string[],
  adapt: (engine: Engine) => Engine,
  rounds: number,
): Promise<Comparison> {
  const directory = await loadModelDirectory(model.directory)
  const reference = createReferenceEngine(await loadReference(directory, model.threads), directory)
  await using parts = new AsyncDisposableStack()
  const engine = parts.adopt(await startEngine(model), (it) => it.close())
  const several = parts.adopt(await startEngine(model, questions.length > 1 ? REPLICAS : 1), (it) =>
    it.close(),
  )
  const logger = { info() {}, warn: (details: object, message: string) => console.warn(message, details) }
  const solvers = {
    reference: createSolver({
      logger,
      engine: adapt(reference),
      episodes: null,
      strategies: { latentseek: referenceLoop },
    }),
    ours: createSolver({ logger, engine: adapt(engine), episodes: null }),
    several: createSolver({ logger, engine: adapt(several), episodes: null }),
  }
  const ask = (solver: keyof typeof solvers, atOnce: number, some = questions) =>
    concurrently(some, atOnce, (question, seed) =>
      solvers[solver].solve(
        { tenantId: 'bench', question, strategy: 'latentseek', learn: false, explain: false, seed },
        { signal: new AbortController().signal },
      ),
    )
  const seconds = {
    reference: Number.POSITIVE_INFINITY,
    alone: Number.POSITIVE_INFINITY,
    together: Number.POSITIVE_INFINITY,
    replicas: Number.POSITIVE_INFINITY,
  }
  const timed = async (side: Side, task: () => Promise<Solution[]>) => {
    const started = performance.now()
    const solutions = await task()
    seconds[side] = Math.min(seconds[side], (performance.now() - started) / 1000)
    return solutions
  }
  const solutions: Record<Side, Solution[]> = { reference: [], alone: [], together: [], replicas: [] }
  // Warm-up with other questions: the engine's prefix cache would recognise repeated ones.
  const others = model.questions(3 * AT_ONCE).slice(2 * AT_ONCE)
  await ask('ours', AT_ONCE, others.slice(0, questions.length))
  if (questions.length > 1) await ask('several', AT_ONCE, others)
  for (let round = 0; round < rounds; round++) {
    solutions.reference = await timed('reference', () => ask('reference', 1))
    solutions.alone = await timed('alone', () => ask('ours', 1))
    if (questions.length === 1) continue
    solutions.together = await timed('together', () => ask('ours', AT_ONCE))
    solutions.replicas = await timed('replicas', () => ask('several', AT_ONCE))
  }
  const agree = (side: Side) =>
    solutions[side].filter((solution, index) => isSame(solution, solutions.reference[index])).length
  return {
    n: questions.length,
    threads: model.threads,
    seconds,
    agree: { alone: agree('alone'), together: agree('together'), replicas: agree('replicas') },
    solutions,
    work: [workOf('reference', solutions.reference), workOf('ours alone', solutions.alone)],
  }
}

function isSame(solution: Solution, other: Solution | undefined): boolean {
  return solution.reasoning === other?.reasoning && Math.abs(solution.reward - other.reward) < 1e-3
}

const WORK_HEADER = [
  'side',
  'updates',
  'evaluations',
  'generated tokens',
  'draft ms',
  'search ms',
  'judging ms',
]

/** Means per problem, as a row of `WORK_HEADER`. */
function workOf(side: string, solutions: readonly Solution[]): [string, ...number[]] {
  const of = (value: (solution: Solution) => number) => mean(solutions.map(value))
  return [
    side,
    of(({ iterations }) => iterations),
    of(({ evaluations }) => evaluations),
    of(({ usage }) => usage.generatedTokens),
    of(({ timings }) => timings.draftMs),
    of(({ timings }) => timings.optimizeMs),
    of(({ timings }) => timings.rewardMs),
  ]
}

function report(title: string, it: Comparison, accuracy: Readonly<Record<Side, number>> | null): void {
  const row = (name: string, side: Side) => [
    name,
    it.seconds[side],
    it.n / it.seconds[side],
    it.seconds.reference / it.seconds[side],
    side === 'reference' ? '-' : `${it.agree[side]} of ${it.n}`,
    ...(accuracy === null ? [] : [accuracy[side]]),
  ]
  printTable(
    `${title}, ${it.threads} thread(s) on both sides`,
    [
      'side',
      's',
      'problems/s',
      'ratio',
      'same answer and reward',
      ...(accuracy === null ? [] : ['accuracy']),
    ],
    [
      row('reference loop, one at a time', 'reference'),
      row('ours, one at a time', 'alone'),
      ...(it.n > 1
        ? [
            row(`ours, ${AT_ONCE} at once`, 'together'),
            row(`ours, ${AT_ONCE} at once, ${REPLICAS} engine processes`, 'replicas'),
          ]
        : []),
    ],
  )
  printTable(
    'What each did per problem',
    WORK_HEADER,
    it.work.map((line) => [...line]),
  )
}
