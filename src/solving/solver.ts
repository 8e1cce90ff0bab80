/** @file One request from question to committed episode. */

import { randomBytes, randomUUID } from 'node:crypto'
import type { Judge } from '#algorithms'
import type { Engine } from '#engine'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import { type ActiveModels, NO_TRAINED_MODELS } from '#serving'
import { createAnswerFormat } from './answer-format.ts'
import { type Attempt, attempt, type SolverParts } from './attempt.ts'
import { startDeadline } from './deadline.ts'
import { createEventReplay } from './event-replay.ts'
import { createFormatRules } from './format-rules.ts'
import type { Clock } from './meter.ts'
import { remember } from './remember.ts'
import type { Outcome, RunRecord } from './run.ts'
import { resolveSettings } from './settings.ts'
import { describeSolution } from './solution.ts'
import type { SolverLogger } from './solver-logger.ts'
import { type Strategies, strategies } from './strategies/strategies.ts'
import type { Solution, SolveOptions, SolveRequest, Solver } from './types.ts'
import { createVerdicts } from './verdicts.ts'

export interface SolverDeps {
  readonly engine: Engine
  /** null: nothing is retrieved and nothing is kept. */
  readonly episodes: EpisodeStore | null
  readonly logger: SolverLogger
  /** What nights have taught, asked at the start of every request; nothing unless given. */
  readonly learned?: () => ActiveModels
  readonly clock?: Clock
  /** For benches: a control reward in place of the profile's. */
  readonly controlJudge?: (request: SolveRequest) => Judge
  /** For benches: control strategies in place of the solver's own. */
  readonly controlStrategies?: Partial<Strategies>
}

/**
 * Creates the solver of one model.
 *
 * When `budget.maxMs` is over, the best answer so far is returned with `stopped: 'maxMs'`: a draft that was not judged in
 * time has reward -1, and before the first token there is no answer at all (`answer: null`). Neither becomes an episode.
 * A request whose engine process crashes starts over once, with the same seed and what is left of its time; its events go
 * on where they had stopped.
 *
 * @throws ServiceError MODEL_INVALID when the profile's patterns or verdict words cannot be used.
 */
export function createSolver(deps: SolverDeps): Solver {
  const { engine, episodes, logger, clock = performance, controlJudge = null } = deps
  const learned = deps.learned ?? (() => NO_TRAINED_MODELS)
  const { profile } = engine.model
  const answerFormat = createAnswerFormat(profile.answer)
  const judgeParts = { profile, verdicts: createVerdicts(engine), formatRules: createFormatRules(profile) }
  const shared = { engine, episodes, learned, logger, clock, answerFormat, judgeParts, controlJudge }
  const available: Strategies = { ...strategies, ...deps.controlStrategies }
  return {
    normaliseAnswer: answerFormat.normalise,
    solve: (request, options) => solve(shared, available, request, options),
  }
}

async function solve(
  parts: SolverParts,
  available: Strategies,
  request: SolveRequest,
  options: SolveOptions,
): Promise<Solution> {
  const started = parts.clock.now()
  const strategy = available[request.strategy]
  const settings = resolveSettings(request, parts.engine.model.profile)
  const seed = request.seed ?? randomSeed()
  const learned = parts.learned()
  const deadline = startDeadline(options.signal, settings.maxMs)
  const nextEmit = createEventReplay(options.onEvent)
  try {
    const { run, outcome } = await startingOverOnce(parts.logger, () =>
      attempt(parts, request, {
        settings,
        learned,
        strategy,
        seed,
        signal: deadline.signal,
        emit: nextEmit(),
      }),
    )
    if (options.signal.aborted) {
      throw new ServiceError('ABORTED', 'solve: expected a caller to answer, got none any more')
    }
    const confidence = await confidenceOf(run, outcome)
    const id = randomUUID()
    const episodeId = await remember(run, outcome, { id, confidence })
    return describeSolution(run, outcome, { id, episodeId, confidence, totalMs: parts.clock.now() - started })
  } finally {
    deadline.close()
  }
}

/** P(correct) of the answer that is returned, whatever strategy found it. */
async function confidenceOf(run: RunRecord, { chosen }: Outcome): Promise<number | null> {
  if (chosen === null) return null
  const known = await run.meter.time('rewardMs', () => run.confidences.of([chosen.answer]))
  return known?.[0] ?? null
}

async function startingOverOnce(logger: SolverLogger, once: () => Promise<Attempt>): Promise<Attempt> {
  try {
    return await once()
  } catch (error) {
    if (!hasCode(error, 'ENGINE_CRASHED')) throw error
    logger.warn({ err: error }, 'the engine crashed under a request: starting it over once')
    return once()
  }
}

/** Uniform over [0, 2^53 - 1]. */
function randomSeed(): number {
  return Number(randomBytes(8).readBigUInt64BE() >> 11n)
}
