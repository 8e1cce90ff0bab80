/** @file The command `circadian eval`: reads problems and arms, opens what is asked, writes answers and report. */

import { pino } from 'pino'
import { deriveSeed } from '#algorithms'
import { DEFAULT_ANSWER, type ModelProfile, readModelProfile } from '#engine'
import { coerceError, hasCode, ServiceError } from '#errors'
import {
  ARROW,
  type Arm,
  type Ask,
  answerTasks,
  armTable,
  askServer,
  askSolver,
  askWithExamples,
  checkNames,
  choosersOfSamples,
  createEvaluationProgress,
  createGrade,
  createReport,
  describeMachine,
  drawAccuracy,
  listTasks,
  type Normalise,
  openOutputFolder,
  type Problem,
  parseArm,
  readArms,
  readProblemFile,
  readTextFile,
  recordKey,
  reportMarkdown,
  type Settings,
  taskKey,
} from '#evaluation'
import { createAnswerFormat } from '#solving'
import manifest from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'
import { loggerOptions } from './logger.ts'
import { openParts, type Parts } from './open-parts.ts'
import { openSolver } from './open-solver.ts'
import { EXIT_INTERRUPTED, stopAtSignals } from './stop-at-signals.ts'

export interface EvaluationOptions {
  readonly out: string
  readonly arm: readonly string[]
  readonly arms?: string
  readonly url?: string
  readonly header?: readonly string[]
  readonly profile?: string
  readonly dataDir?: string
  readonly family?: readonly string[]
  readonly limit?: number
  readonly seed: number
  readonly seeds: number
  readonly concurrency: number
  /** Name of the arm that the others are compared with; the first unless given. */
  readonly against?: string
  /** The model and its provider, unless `url` is given. */
  readonly engine: Config['engine']
}

/**
 * Evaluates until all answers are there, a signal comes, or a fault stays. The report has what there is.
 *
 * @returns the exit code: 0, or 130 after a signal
 * @throws ServiceError for arms, problems and folders that cannot be used, and for a fault that stays
 */
export async function runEvaluation(file: string, options: EvaluationOptions): Promise<number> {
  const { problems: all, source } = await readProblemFile(file)
  const problems = choose(all, options)
  const arms = await armsOf(options)
  checkAgainst(arms, options.against)
  const stop = stopAtSignals()
  const parts = openParts()
  try {
    const subject = await openSubject(parts, options)
    const grade = createGrade(problems, subject.normalise, file)
    const settings: Settings = {
      version: manifest.version,
      problems: source,
      model: subject.model,
      seed: options.seed,
      concurrency: options.concurrency,
      arms,
    }
    const folder = await parts.open(() => openOutputFolder(options.out, settings))
    const seeds = Array.from({ length: options.seeds }, (_, index) => options.seed + index)
    const tasks = listTasks(problems, arms, seeds)
    const wanted = new Set(tasks.map(taskKey))
    const known = new Map(folder.answers.map((record) => [recordKey(record), record]))
    const records = [...known].filter(([key]) => wanted.has(key)).map(([, record]) => record)
    const open = tasks.filter((task) => !known.has(taskKey(task)))
    const progress = createEvaluationProgress(process.stderr, records, open, options.concurrency)
    process.stderr.write(`${open.length} answers to go, ${records.length} are there\n`)
    let failure: unknown = null
    try {
      await answerTasks(open, {
        ask: askWithExamples(subject.ask, problems, records.slice()),
        grade,
        concurrency: options.concurrency,
        stop,
        fingerprint: folder.answers.find(({ model }) => model !== undefined)?.model?.fingerprint ?? null,
        onAnswer(record) {
          folder.add(record)
          records.push(record)
          progress.add(record)
        },
      })
    } catch (thrown) {
      failure = coerceError(thrown)
    } finally {
      progress.end()
    }
    const { title } = subject
    const head = {
      problems: { ...settings.problems, count: problems.length },
      concurrency: options.concurrency,
    }
    const report = createReport(
      {
        ...head,
        ...(options.against !== undefined && { against: options.against }),
        title,
        seeds,
        machine: describeMachine(),
        settings: arms,
        total: tasks.length,
      },
      records,
    )
    await folder.write('report.json', `${JSON.stringify(report, null, 2)}\n`)
    await folder.write('report.md', reportMarkdown(report))
    await folder.write('accuracy.svg', drawAccuracy(title, report.arms))
    process.stdout.write(
      `${armTable(report)}\n\n${report.answered} of ${report.total} answers: ${options.out}\n`,
    )
    if (failure !== null) throw failure
    return stop.aborted ? EXIT_INTERRUPTED : 0
  } catch (thrown) {
    if (stop.aborted && hasCode(thrown, 'ABORTED')) return EXIT_INTERRUPTED
    throw thrown
  } finally {
    await parts.close()
  }
}

/** What answers the questions. */
interface Subject {
  readonly title: string
  readonly ask: Ask
  readonly normalise: Normalise
  /** Everything about the model that must be equal in all calls for one folder. */
  readonly model: Settings['model']
}

async function openSubject(parts: Parts, options: EvaluationOptions): Promise<Subject> {
  const { url, dataDir = null } = options
  if (url !== undefined) {
    const ask = askServer(url, headersOf(options.header ?? []))
    const answer = await readAnswerProfile(options.profile)
    return {
      title: `Evaluation of ${url}`,
      ask,
      normalise: createAnswerFormat(answer).normalise,
      model: { url, answer },
    }
  }
  const logger = pino(loggerOptions({ level: 'warn', pretty: false }), pino.destination(2))
  const { solver, engine } = await openSolver(parts, { engine: options.engine, dataDir, logger })
  const { id, fingerprint, judgeFingerprint, answerRules, profile } = engine.model
  return {
    title: `Evaluation of ${id}`,
    ask: askSolver(solver),
    normalise: solver.answerKeys.keyOf,
    model: { id, fingerprint, judgeFingerprint, answerRules, defaults: profile.defaults, dataDir },
  }
}

/** A server keeps its profile to itself: answers are compared by the one of `--profile`, or by the default one. */
async function readAnswerProfile(profile: string | undefined): Promise<ModelProfile['answer']> {
  if (profile === undefined) return { ...DEFAULT_ANSWER, normalise: [] }
  const source: unknown = parseJson(await readTextFile(profile), profile)
  return readModelProfile(Object(source)).answer
}

async function armsOf({ arm, arms: file, dataDir }: EvaluationOptions): Promise<readonly Arm[]> {
  const listed = file === undefined ? [] : readArms(await readTextFile(file), file)
  const arms = [...arm.map((text) => parseArm(text)), ...listed]
  checkNames(arms)
  const learning = arms.find(({ request }) => request.learn)
  if (learning !== undefined && dataDir === undefined) {
    throw new ServiceError(
      'REQUEST_INVALID',
      `arm ${JSON.stringify(learning.name)}: expected --data-dir, which keeps what an arm with learn=true stores`,
    )
  }
  return arms
}

/** @throws ServiceError REQUEST_INVALID when it is neither an arm nor a selector among the samples of one */
function checkAgainst(arms: readonly Arm[], against: string | undefined): void {
  if (against === undefined) return
  const selectors = Object.keys(choosersOfSamples)
  const derived = arms.flatMap(({ name }) => selectors.map((selector) => `${name}${ARROW}${selector}`))
  if (arms.some(({ name }) => name === against) || derived.includes(against)) return
  const names = arms.map(({ name }) => JSON.stringify(name)).join(', ')
  throw new ServiceError(
    'REQUEST_INVALID',
    `--against: expected ${names}, or one of these with ${ARROW.trim()} and one of ${selectors.join(', ')}, got ${JSON.stringify(against)}`,
  )
}

/** Problems of the wanted families in an order drawn by the seed, of which `limit` takes the first. */
function choose(problems: readonly Problem[], { family, limit, seed }: EvaluationOptions): Problem[] {
  const there = new Set(problems.map(({ family }) => family))
  const missing = family?.find((name) => !there.has(name))
  if (missing !== undefined) {
    const names = [...there].filter((name) => name !== null).sort()
    const known = names.length === 0 ? 'none of the problems has one' : `expected some of ${names.join(', ')}`
    throw new ServiceError('REQUEST_INVALID', `--family: ${known}, got ${missing}`)
  }
  return problems
    .filter((problem) => family === undefined || family.includes(problem.family ?? ''))
    .map((problem) => ({ problem, place: deriveSeed(seed, problem.line) }))
    .sort((one, other) => one.place - other.place)
    .slice(0, limit)
    .map(({ problem }) => problem)
}

function headersOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      const name = line.slice(0, Math.max(colon, 0))
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
        // The header may be a key: it is not repeated.
        throw new ServiceError('REQUEST_INVALID', '--header: expected NAME:VALUE, got another text')
      }
      return [name, line.slice(colon + 1).trim()]
    }),
  )
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ServiceError('REQUEST_INVALID', `${file}: expected JSON`, { cause })
  }
}
