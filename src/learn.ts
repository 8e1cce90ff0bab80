/**
 * @file The command `circadian learn`: asks problems with known answers, keeps the episodes, and holds a night over them. The
 * references become labels; no prompt and no choice of an answer sees them.
 */

import { type Logger, pino } from 'pino'
import { ARTIFACT_KINDS, type ArtifactKind, createConsolidationStore } from '#artifacts'
import { consolidate } from '#consolidation'
import { hasCode, ServiceError } from '#errors'
import {
  type AnswerRecord,
  ARM_DEFAULTS,
  type Arm,
  type Ask,
  answerTasks,
  createEvaluationProgress,
  createGrade,
  listTasks,
  openOutputFolder,
  type Problem,
  parseArm,
  readProblemFile,
  recordKey,
  TENANT,
  taskKey,
} from '#evaluation'
import manifest from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'
import { consolidationDeps } from './consolidation-deps.ts'
import { loggerOptions } from './logger.ts'
import { openParts } from './open-parts.ts'
import { openSolver } from './open-solver.ts'
import { EXIT_INTERRUPTED, stopAtSignals } from './stop-at-signals.ts'

export interface LearnOptions {
  /** Folder of the answers, by which another call goes on. */
  readonly out: string
  /** Folder of the embedded database that keeps episodes and trained versions. */
  readonly dataDir: string
  /** One arm. */
  readonly arms: readonly string[]
  /** Place of the first problem of this call, from 0, and their number; all unless given. */
  readonly from: number
  readonly limit?: number
  readonly seed: number
  readonly concurrency: number
  /** Kinds to train; none: no night is held. */
  readonly kinds: readonly ArtifactKind[]
  readonly engine: Config['engine']
}

/** @throws ServiceError REQUEST_INVALID for a kind that does not exist */
export function parseKinds(list: string): readonly ArtifactKind[] {
  if (list === 'none') return []
  const kinds = list.split(',').map((name) => {
    const kind = ARTIFACT_KINDS.find((each) => each === name.trim())
    if (kind !== undefined) return kind
    throw new ServiceError(
      'REQUEST_INVALID',
      `--kinds: expected none or some of ${ARTIFACT_KINDS}, got ${name}`,
    )
  })
  return [...new Set(kinds)]
}

/**
 * Asks the problems, labels their episodes, then trains and judges new versions; those that pass their gate serve from then on.
 * The same call again asks only what has no answer yet.
 *
 * @returns the exit code: 0, or 130 after a signal
 * @throws ServiceError for problems, arm, folders and model that cannot be used, and for a fault that stays
 */
export async function runLearning(file: string, options: LearnOptions): Promise<number> {
  const arm = armOf(options.arms)
  const { problems: all, source } = await readProblemFile(file)
  const problems = all.slice(options.from, options.from + (options.limit ?? Number.POSITIVE_INFINITY))
  checkProblems(problems, file, options.from)
  const stop = stopAtSignals()
  const parts = openParts()
  try {
    const logger = pino(loggerOptions({ level: 'warn', pretty: false }), pino.destination(2))
    const opened = await openSolver(parts, { engine: options.engine, dataDir: options.dataDir, logger })
    const { solver, engine } = opened
    const { id, fingerprint, judgeFingerprint, answerRules, profile } = engine.model
    const folder = await parts.open(() =>
      openOutputFolder(options.out, {
        version: manifest.version,
        problems: source,
        model: {
          id,
          fingerprint,
          judgeFingerprint,
          answerRules,
          defaults: profile.defaults,
          dataDir: options.dataDir,
        },
        seed: options.seed,
        concurrency: options.concurrency,
        arms: [arm],
      }),
    )
    const known = new Set(folder.answers.map(recordKey))
    const tasks = listTasks(problems, [arm], [options.seed]).filter((task) => !known.has(taskKey(task)))
    const records: AnswerRecord[] = []
    const progress = createEvaluationProgress(process.stderr, [], tasks, options.concurrency)
    process.stderr.write(`${tasks.length} problems to ask, ${problems.length - tasks.length} are known\n`)
    try {
      await answerTasks(tasks, {
        ask: askWithReferences(opened, problems),
        grade: createGrade(problems, solver.answerKeys.keyOf, file),
        concurrency: options.concurrency,
        stop,
        fingerprint,
        onAnswer(record) {
          folder.add(record)
          records.push(record)
          progress.add(record)
        },
      })
    } finally {
      progress.end()
    }
    const right = records.filter((record) => record.right).length
    process.stdout.write(`${records.length} asked, ${right} right\n`)
    if (stop.aborted) return EXIT_INTERRUPTED
    if (options.kinds.length > 0) await holdNight(opened, options, { logger, signal: stop })
    return stop.aborted ? EXIT_INTERRUPTED : 0
  } catch (thrown) {
    if (stop.aborted && (thrown === stop.reason || hasCode(thrown, 'ABORTED'))) return EXIT_INTERRUPTED
    throw thrown
  } finally {
    await parts.close()
  }
}

/** @throws ServiceError REQUEST_INVALID without problems, and for two lines with one question and different answers */
function checkProblems(problems: readonly Problem[], file: string, from: number): void {
  if (problems.length === 0) {
    throw new ServiceError(
      'REQUEST_INVALID',
      `--from: expected a place in ${file}, got ${from}, beyond its end`,
    )
  }
  const first = new Map<string, Problem>()
  for (const problem of problems) {
    const before = first.get(problem.question)
    if (before !== undefined && before.reference !== problem.reference) {
      throw new ServiceError(
        'REQUEST_INVALID',
        `${file}:${problem.line}: expected the answer of line ${before.line}, which asks the same, got another`,
      )
    }
    first.set(problem.question, problem)
  }
}

/**
 * @throws ServiceError REQUEST_INVALID for several arms, and for one that cannot be read, puts examples before its questions, or
 *   keeps no episodes
 */
function armOf([text = '', ...others]: readonly string[]): Arm {
  if (others.length > 0) {
    const got = `${others.length + 1}: ${[text, ...others].join(' and ')}`
    throw new ServiceError(
      'REQUEST_INVALID',
      `--arm: expected one arm, by which all problems are asked, got ${got}`,
    )
  }
  const arm = parseArm(text, { ...ARM_DEFAULTS, learn: true })
  const invalid = (fault: string) =>
    new ServiceError('REQUEST_INVALID', `arm ${JSON.stringify(arm.name)}: ${fault}`)
  if (arm.examples !== undefined) {
    throw invalid('expected no examples, which are an arm of circadian eval, got some')
  }
  if (!arm.request.learn) throw invalid('expected an arm that keeps episodes, got learn=false')
  return arm
}

type Opened = Awaited<ReturnType<typeof openSolver>>

/** Asks with the reference of each problem, which becomes the label of the episode, and labels the episode at once. */
function askWithReferences({ solver, episodes }: Opened, problems: readonly Problem[]): Ask {
  const references = new Map(problems.map(({ question, reference }) => [question, reference]))
  return async ({ question, arm, seed }, signal) => {
    const reference = references.get(question)
    const request = {
      ...arm.request,
      tenantId: TENANT,
      question,
      seed,
      // A policy of `auto` is measured on samples beside the draft.
      keepDraft: true,
      ...(reference !== undefined && { reference }),
    }
    const solution = await solver.solve(request, { signal })
    if (solution.episodeId !== null) await episodes.index(TENANT, solution.episodeId)
    return solution
  }
}

/** Holds a consolidation in this process and prints what became of each kind. */
async function holdNight(
  { engine, database }: Opened,
  { kinds, engine: settings }: LearnOptions,
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const { fingerprint } = engine.model
  const deps = consolidationDeps({
    database,
    engine: settings,
    // The engine that answered stays open.
    openReplayEngine: async () => ({ engine, close: async () => {} }),
    logger,
  })
  const store = createConsolidationStore({ database })
  const { id } = await store.request({ fingerprint, kinds, force: true, trigger: 'request' })
  const started = performance.now()
  await consolidate(deps, id, signal)
  const { status, artifacts, error } = await store.report(id)
  const seconds = Math.round((performance.now() - started) / 1000)
  process.stdout.write(`night: ${status} in ${seconds} s${error === null ? '' : `: ${error}`}\n`)
  for (const { kind, status, reason, form, episodes, metrics, baseline, weights } of artifacts) {
    const figures = Object.entries(metrics)
      .filter(([name]) => !name.startsWith('locked.'))
      .map(([name, { value }]) => {
        const before = baseline[name]?.value
        return `${name} ${round(value)}${before === undefined ? '' : ` (before ${round(before)})`}`
      })
    const facts = [
      `${kind}: ${status}${reason === null ? '' : `, ${reason}`}`,
      `learned from ${episodes.learnedFrom} of ${episodes.remembered} episodes`,
      ...(form == null ? [] : [`form ${form}`]),
      ...figures,
      ...Object.entries(weights ?? {}).map(([name, weight]) => `weight of ${name} ${round(weight)}`),
    ]
    process.stdout.write(`  ${facts.join('; ')}\n`)
  }
}

const round = (value: number) => Number(value.toPrecision(3))
