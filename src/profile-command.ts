/** @file The command `circadian model profile`: measures a profile of a model on tuning problems, and explains it. */

import { pino } from 'pino'
import { deriveSeed } from '#algorithms'
import { createEngine, loadModelDirectory } from '#engine'
import { hasCode, ServiceError } from '#errors'
import { describeMachine, readProblemFile } from '#evaluation'
import {
  createStages,
  drawCurves,
  openProfileFolder,
  profileModel,
  profileReport,
  STAGES,
  type StageName,
} from '#profiling'
import manifest from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'
import { loggerOptions } from './logger.ts'
import { openParts } from './open-parts.ts'
import { EXIT_INTERRUPTED, stopAtSignals } from './stop-at-signals.ts'

export interface ProfileCommandOptions {
  readonly problems: string
  readonly out: string
  readonly budgetMinutes: number
  readonly precision: number
  readonly seed: number
  readonly concurrency: number
  /** Stages that measure anything new; all unless given. */
  readonly stages?: readonly StageName[]
  /** The model and its provider. */
  readonly engine: Config['engine']
}

/** No client waits for these answers, so a busy machine must not cost one of them. */
const HEARTBEAT_LIMIT_MS = 120_000

/**
 * Measures until the budget is over or a signal comes, then writes the profile of what there is. The same call again
 * adds to the measurements of the folder.
 *
 * @returns the exit code: 0, or 130 after a signal
 * @throws ServiceError for a model, problems or a folder that cannot be used
 */
export async function runProfile(options: ProfileCommandOptions): Promise<number> {
  const { problems: file, seed, concurrency, precision } = options
  const { problems: listed, source } = await readProblemFile(file)
  const problems = listed
    .map((problem) => ({ problem, place: deriveSeed(seed, problem.line) }))
    .sort((one, other) => one.place - other.place)
    .map(({ problem }) => problem)
  const stop = stopAtSignals()
  const parts = openParts()
  try {
    // A profile that was measured before is no start for another.
    const directory = await loadModelDirectory(options.engine.directory, null)
    const { id, fingerprint, judgeFingerprint } = directory.info
    const folder = await openProfileFolder(options.out, {
      version: manifest.version,
      model: { id, fingerprint, judgeFingerprint, defaults: directory.info.profile.defaults },
      problems: source.sha256,
      seed,
    })
    const { stderr: stream } = process
    stream.write(`${problems.length} problems, ${folder.known} measurements are there; loading ${id}\n`)
    const logger = pino(loggerOptions({ level: 'warn', pretty: false }), pino.destination(2))
    const engine = await parts.open(() =>
      createEngine({ heartbeatLimitMs: HEARTBEAT_LIMIT_MS, ...options.engine, directory, logger }),
    )
    const startedAt = performance.now()
    const stages = createStages({
      budgetMs: options.budgetMinutes * 60_000,
      concurrency,
      ...(options.stages !== undefined && { only: options.stages }),
      stop,
      stream,
    })
    const measuring = { engine, folder, file, seed, signal: stop }
    const findings = await profileModel(problems, { ...measuring, stages, precision })
    const head = {
      model: id,
      problems: { ...source, count: problems.length },
      seed,
      precision,
      machine: describeMachine(),
      minutes: (performance.now() - startedAt) / 60_000,
      notes: directory.notes.filter((note) => note.includes('generation_config.json')),
    }
    await folder.write('circadian.json', `${JSON.stringify(findings.profile, null, 2)}\n`)
    await folder.write('measured-on.json', `${JSON.stringify(directory.measuredOn, null, 2)}\n`)
    if (findings.embedding !== null) {
      await folder.write('embedding-mean.bin', new Uint8Array(findings.embedding.mean.buffer))
    }
    await folder.write('report.md', profileReport(head, findings))
    await folder.write('curves.svg', drawCurves(findings))
    process.stdout.write(`${summary(options.out, findings.embedding !== null)}\n`)
    return stop.aborted ? EXIT_INTERRUPTED : 0
  } catch (thrown) {
    if (stop.aborted && hasCode(thrown, 'ABORTED')) return EXIT_INTERRUPTED
    throw thrown
  } finally {
    await parts.close()
  }
}

function summary(out: string, hasMean: boolean): string {
  const files = hasMean ? 'circadian.json and embedding-mean.bin' : 'circadian.json'
  return `${out}/report.md explains the profile; copy ${files} into the model directory to serve on it`
}

/** @throws ServiceError REQUEST_INVALID naming a stage that does not exist */
export function parseStages(text: string): readonly StageName[] {
  return text.split(',').map((word) => {
    const name = STAGES.find((stage) => stage === word.trim())
    if (name !== undefined) return name
    throw new ServiceError('REQUEST_INVALID', `--stages: expected some of ${STAGES.join(', ')}, got ${word}`)
  })
}
