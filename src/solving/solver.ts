/** @file One request from question to committed episode. */

import { randomBytes, randomUUID } from 'node:crypto'
import type { Judge } from '#algorithms'
import type { Engine } from '#engine'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import { type ActiveModels, NO_TRAINED_MODELS } from '#serving'
import { generationAttributes, NO_TRACER, solveAttributes, type Tracer, usageAttributes } from '#tracing'
import { type Attempt, attempt, type SolverParts } from './attempt.ts'
import type { StrategyFunction } from './context.ts'
import type {
  CancelledUsage,
  Solution,
  SolveEvent,
  SolveOptions,
  SolveRequest,
  Solver,
  SolverLogger,
  StoreTimeouts,
  Strategy,
} from './contract.ts'
import { type AnswerFormat, createAnswerFormat } from './judging/answer-format.ts'
import { createFormatRules } from './judging/format-rules.ts'
import { createVerdicts } from './judging/verdicts.ts'
import { recall } from './memory/recall.ts'
import { remember } from './memory/remember.ts'
import { createStoreOutages } from './memory/store-outages.ts'
import type { Clock } from './meter.ts'
import { createQuestionSpan } from './prompt.ts'
import { resolveSettings, type Settings } from './settings.ts'
import { describeSolution } from './solution.ts'
import { auto } from './strategies/auto.ts'
import { bestOfN } from './strategies/best-of-n.ts'
import { fork } from './strategies/fork.ts'
import { greedy } from './strategies/greedy.ts'
import { latentSeek } from './strategies/latent-seek.ts'
import { lto } from './strategies/lto.ts'
import { majority } from './strategies/majority.ts'

type Strategies = Readonly<Record<Strategy, StrategyFunction>>

const STRATEGY_FUNCTIONS: Strategies = {
  auto,
  greedy,
  latentseek: latentSeek,
  majority,
  lto,
  'best-of-n': bestOfN,
  fork,
}

/** Upper bound on the attempts of a request beside others that crash the engine: each of those crashes it twice. */
const MAX_ATTEMPTS = 5

const NO_TIMEOUTS: StoreTimeouts = {
  retrievalMs: Number.POSITIVE_INFINITY,
  commitMs: Number.POSITIVE_INFINITY,
}

export interface SolverDeps {
  readonly engine: Engine
  /** null: nothing is retrieved and nothing is kept. */
  readonly episodes: EpisodeStore | null
  readonly logger: SolverLogger
  /** Infinite unless given. */
  readonly storeTimeouts?: StoreTimeouts
  /** Returns the trained models that serve, asked at the start of every request; none unless given. */
  readonly activeModels?: () => ActiveModels
  /** Whether learning is frozen, asked before an episode is committed; never unless given. */
  readonly isFrozen?: () => boolean
  /** Time, in ms, of a request without `budget.maxMs`; no limit unless given. */
  readonly maxMs?: number | null
  readonly clock?: Clock
  /** Records the spans of requests; none unless given. */
  readonly tracer?: Tracer
  /** Replaces the profile's reward; benches measure control rewards with it. */
  readonly judgeFor?: (request: SolveRequest) => Judge
  /** Replaces strategies by name; benches measure control strategies with it. */
  readonly strategies?: Partial<Strategies>
}

/**
 * Creates the solver of one model.
 *
 * When `budget.maxMs` is over, the best answer so far is returned with `stopped: 'maxMs'`: the best judged one, else the samples
 * that are finished, else the part of an answer that is decoded. Nothing new is decoded or judged then: an answer that was not
 * judged in time has reward -1, and before the first token there is no answer at all (`answer: null`) and no episode.
 * A request whose engine process crashes starts over, with the same seed and the rest of its time; its events go on where they
 * had stopped. When its own rows were in the last run, it starts over apart from other requests, and is refused with
 * ENGINE_CRASHED_BY_REQUEST when the process crashes again. A crash in a run of others does not count as its retry.
 *
 * @throws ServiceError MODEL_INVALID when the profile's patterns or verdict words cannot be used.
 */
export function createSolver(deps: SolverDeps): Solver {
  const { engine, episodes, logger, clock = performance, tracer = NO_TRACER, judgeFor = null } = deps
  const { profile } = engine.model
  const answerFormat = createAnswerFormat(profile.answer, engine.codec)
  const judgeParts = { profile, verdicts: createVerdicts(engine), formatRules: createFormatRules(profile) }
  const parts = {
    engine,
    episodes,
    logger,
    storeTimeouts: deps.storeTimeouts ?? NO_TIMEOUTS,
    storeOutages: createStoreOutages(clock),
    isFrozen: deps.isFrozen ?? (() => false),
    clock,
    tracer,
    answerFormat,
    judgeParts,
    questionSpan: createQuestionSpan(engine),
    judgeFor,
  }
  const strategies = { ...STRATEGY_FUNCTIONS, ...deps.strategies }
  const activeModels = deps.activeModels ?? (() => NO_TRAINED_MODELS)
  return {
    modelId: engine.model.id,
    answerKeys: {
      rules: engine.model.answerRules,
      keyOf: answerFormat.normalise,
      keyIn: answerFormat.extract,
    },
    check: (request) =>
      void settingsOf(parts, request, { models: activeModels(), defaultMaxMs: deps.maxMs ?? null }),
    recall: (request, options) => recall(parts, request, options),
    solve: (request, options) =>
      tracer.trace('solve', generationAttributes(engine.model.id), async (span) => {
        span.set(solveAttributes(request))
        const solution = await solve({ ...parts, logger: options.logger ?? logger }, request, {
          ...options,
          strategy: strategies[request.strategy],
          models: activeModels(),
          defaultMaxMs: deps.maxMs ?? null,
        })
        const { promptTokens: input, generatedTokens: output, rewardTokens } = solution.usage
        span.set({ ...usageAttributes({ input, output }), ...solveAttributes({ ...solution, rewardTokens }) })
        return solution
      }),
  }
}

interface SolvePlan extends SolveOptions {
  readonly strategy: StrategyFunction
  readonly models: ActiveModels
  readonly defaultMaxMs: number | null
}

async function solve(parts: SolverParts, request: SolveRequest, plan: SolvePlan): Promise<Solution> {
  const { strategy, models, signal, onEvent, caller, requestId, id = randomUUID() } = plan
  const started = parts.clock.now()
  const settings = settingsOf(parts, request, plan)
  const seed = request.seed ?? randomSeed()
  const deadline = startDeadline(signal, settings.maxMs)
  const nextEmit = createEventReplay(onEvent)
  try {
    const attempted = await startingOver(parts.logger, (isIsolated) =>
      attempt(parts, request, {
        settings,
        models,
        strategy,
        seed,
        caller,
        signal: deadline.signal,
        disconnected: signal,
        leftMs: settings.maxMs && Math.max(0, settings.maxMs - (parts.clock.now() - started)),
        isIsolated,
        emit: nextEmit(),
        withTokens: onEvent !== undefined,
        countsEarly: plan.onCancelled !== undefined,
      }),
    )
    if (signal.aborted) {
      plan.onCancelled?.(usageOf(attempted))
      throw new ServiceError('ABORTED', 'solve: client disconnected')
    }
    const spentMs = parts.clock.now() - started
    const episodeId = await remember({ ...parts, requestId }, attempted, { id, spentMs })
    const totalMs = parts.clock.now() - started
    return describeSolution(parts, attempted, { id, episodeId, totalMs })
  } finally {
    deadline.close()
  }
}

/** Returns what a cancelled attempt has used; its prompt counts once something was decoded. */
function usageOf({ promptTokens, state: { meter } }: Attempt): CancelledUsage {
  const { generatedTokens, rewardTokens } = meter
  return { promptTokens: generatedTokens > 0 ? promptTokens : 0, generatedTokens, rewardTokens }
}

/** @throws ServiceError REQUEST_INVALID for a request that this model cannot serve */
function settingsOf(
  { engine, answerFormat }: SolverParts,
  request: SolveRequest,
  { models, defaultMaxMs }: Pick<SolvePlan, 'models' | 'defaultMaxMs'>,
): Settings {
  checkReference(request, answerFormat)
  return resolveSettings(request, engine.model.profile, defaultMaxMs, models.judge)
}

/** @throws ServiceError REQUEST_INVALID for a reference that no answer can equal: every answer would be wrong. */
function checkReference({ reference }: SolveRequest, answerFormat: AnswerFormat): void {
  if (reference === undefined || answerFormat.normalise(reference) !== null) return
  const detail = 'expected an answer, got a text that the model profile normalises to nothing'
  throw new ServiceError('REQUEST_INVALID', `body/reference: ${detail}`, {
    faults: [{ pointer: '/reference', detail }],
  })
}

/** Starts a request over when an engine process crashes: apart from others once it was in the last run. */
async function startingOver(
  logger: SolverLogger,
  once: (isIsolated: boolean) => Promise<Attempt>,
): Promise<Attempt> {
  let isIsolated = false
  for (let attempts = 1; ; attempts++) {
    try {
      return await once(isIsolated)
    } catch (error) {
      const isSuspect = hasCode(error, 'ENGINE_CRASHED_BY_REQUEST')
      if (!isSuspect && !hasCode(error, 'ENGINE_CRASHED')) throw error
      if (isSuspect && isIsolated) {
        logger.warn({ err: error }, 'engine crashed each time it ran a request: the request is refused')
        throw error
      }
      if (attempts === MAX_ATTEMPTS) throw error
      isIsolated ||= isSuspect
      const how = isIsolated ? 'starting the request over alone' : 'starting the request over'
      logger.warn({ err: error, attempts }, `engine crashed during a request: ${how}`)
    }
  }
}

/** A random seed, uniform over [0, 2^53 - 1]. */
function randomSeed(): number {
  return Number(randomBytes(8).readBigUInt64BE() >> 11n)
}

interface Deadline {
  /** Fires when the caller disconnects or `maxMs` is over. */
  readonly signal: AbortSignal
  /** Stops the timer. */
  close(): void
}

/** Starts to count now, so waiting for the engine counts too. `maxMs` null: only the caller ends the request. */
function startDeadline(caller: AbortSignal, maxMs: number | null): Deadline {
  if (maxMs === null) return { signal: caller, close() {} }
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), maxMs)
  return { signal: AbortSignal.any([caller, controller.signal]), close: () => clearTimeout(timer) }
}

/**
 * Lets a request that starts over emit each event once. The same seed makes the second attempt repeat the events of the
 * first: those that were already delivered are dropped, and the listener sees no trace of the crash. The `tokens` of an
 * attempt are cut otherwise, by the lengths of its runs: of these the text that was delivered is dropped.
 *
 * @returns a function that gives each attempt its own `emit`.
 */
function createEventReplay(
  onEvent: ((event: SolveEvent) => void) | undefined,
): () => (event: SolveEvent) => void {
  let delivered = 0
  let deliveredText = 0
  return () => {
    let emitted = 0
    let emittedText = 0
    return (event) => {
      if (event.event === 'tokens') {
        const text = event.data.text.slice(Math.max(0, deliveredText - emittedText))
        emittedText += event.data.text.length
        deliveredText = Math.max(deliveredText, emittedText)
        if (text !== '') onEvent?.({ event: 'tokens', data: { ...event.data, text } })
        return
      }
      emitted += 1
      if (emitted <= delivered) return
      delivered = emitted
      onEvent?.(event)
    }
  }
}
