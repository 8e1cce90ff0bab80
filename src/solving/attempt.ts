/** @file One attempt at a request: prompt, session, strategy. */

import { identityWeaver, type Judge } from '#algorithms'
import type { Engine } from '#engine'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import type { LatentSession } from '#ports'
import type { ActiveModels } from '#serving'
import type { Tracer } from '#tracing'
import { createAnswers } from './answers.ts'
import type { Outcome, SolveContext, StrategyFunction } from './context.ts'
import type { SolveEvent, SolveRequest, SolverLogger, StoreTimeouts } from './contract.ts'
import type { AnswerFormat } from './judging/answer-format.ts'
import { buildJudge, type JudgeParts } from './judging/build-judge.ts'
import { createConfidences } from './judging/confidences.ts'
import { openMemory } from './memory/memory.ts'
import type { StoreOutages } from './memory/store-outages.ts'
import { type Clock, createMeter } from './meter.ts'
import { type createQuestionSpan, type Prompt, writePrompt } from './prompt.ts'
import { choosesByRewardModel, profileWeights, type Settings } from './settings.ts'
import type { RefutedAnswers, SolveState } from './solve-state.ts'

/** The parts that all requests of a solver share. */
export interface SolverParts {
  readonly engine: Engine
  readonly episodes: EpisodeStore | null
  readonly logger: SolverLogger
  readonly storeTimeouts: StoreTimeouts
  readonly storeOutages: StoreOutages
  /** Whether learning is frozen: then no episode is committed. */
  readonly isFrozen: () => boolean
  readonly clock: Clock
  readonly tracer: Tracer
  readonly answerFormat: AnswerFormat
  readonly judgeParts: JudgeParts
  readonly questionSpan: ReturnType<typeof createQuestionSpan>
  /** Replaces the profile's judge; null: the profile's. */
  readonly judgeFor: ((request: SolveRequest) => Judge) | null
}

export interface AttemptOptions {
  readonly settings: Settings
  /** The trained models of this request, whatever is activated meanwhile. */
  readonly models: ActiveModels
  readonly strategy: StrategyFunction
  readonly seed: number
  /** Key or address of the caller; undefined: one for all. */
  readonly caller: string | undefined
  /** Fires when the caller disconnects or the time is up. */
  readonly signal: AbortSignal
  /** Milliseconds until the time is up; null: no limit. */
  readonly leftMs: number | null
  /** Whether the engine runs this request apart from others: an engine process died while it ran it. */
  readonly isIsolated: boolean
  /** Fires when the caller disconnects. */
  readonly disconnected: AbortSignal
  readonly emit: (event: SolveEvent) => void
  /** Whether `emit` takes the events `tokens`. */
  readonly withTokens: boolean
  /** Whether tokens are counted as they are decoded. */
  readonly countsEarly: boolean
}

export interface Attempt {
  readonly request: SolveRequest
  readonly settings: Settings
  readonly models: ActiveModels
  readonly seed: number
  readonly promptTokens: number
  readonly state: SolveState
  /** The query embedding; null when nothing needed it. */
  readonly embedding: Float32Array | null
  /** Answers that callers called wrong. */
  readonly refuted: RefutedAnswers
  readonly outcome: Outcome
  /** Calibrated P(correct) of the chosen answer, whatever strategy found it; null without a trained model. */
  readonly confidence: number | null
}

/** The outcome when the time runs out before the first token. */
const NOTHING: Outcome = {
  chosen: null,
  base: null,
  stopped: 'maxMs',
  iterations: 0,
  evaluations: 0,
  rewardHistory: [],
  latents: null,
  trajectory: [],
}

/**
 * Runs a strategy in a session of its own, which is closed when this returns or throws.
 *
 * @throws ServiceError PROMPT_TOO_LONG, ENGINE_OVERLOADED, ENGINE_UNAVAILABLE, ENGINE_CRASHED,
 * ENGINE_CRASHED_BY_REQUEST
 */
export async function attempt(
  parts: SolverParts,
  request: SolveRequest,
  options: AttemptOptions,
): Promise<Attempt> {
  const { clock, tracer } = parts
  const engine = engineOf(parts, options)
  const { seed, signal, disconnected, leftMs, isIsolated, models, caller } = options
  // A prompt takes longer to write than a refusal: during an overload, that time would be lost to all others.
  engine.checkRoom(caller)
  const prompt = writePrompt(request, engine.codec, engine.model.profile)
  const settings = withinContext(parts, request, options.settings, prompt)
  const state: SolveState = {
    meter: createMeter(clock, tracer),
    candidates: [],
    degraded: new Set(),
    retrieved: [],
  }
  const weaver = request.weaver === false ? identityWeaver : models.weaver
  const record = {
    request,
    settings,
    models: { ...models, weaver },
    seed,
    promptTokens: prompt.tokens.length,
    state,
  }
  try {
    const session = await state.meter.time('queueMs', () =>
      engine.open(prompt.tokens, {
        signal: disconnected,
        // When the time is up, the engine returns what it has decoded.
        stopSignal: signal,
        ...(leftMs !== null && { stopAfterMs: leftMs }),
        isolated: isIsolated,
        ...(settings.thinking && { thinking: settings.thinking }),
        ...(models.rewardModel?.tokenMaps && { tokenMaps: models.rewardModel.tokenMaps }),
        // The service's own limit is no wish of the caller: it must not order the rows of the engine.
        ...(request.budget?.maxMs !== undefined && { deadlineMs: request.budget.maxMs }),
        ...(caller !== undefined && { caller }),
      }),
    )
    try {
      const context = await openContext({ ...parts, engine }, { ...options, ...record, prompt, session })
      const outcome = await options.strategy(context)
      const { chosen } = outcome
      const confidences = chosen && (await context.answers.confidences([chosen.answer]))
      const confidence = chosen?.judgement.fused ?? confidences?.[0] ?? null
      const { embedding } = context.memory
      return { ...record, embedding, refuted: await context.memory.refuted(), outcome, confidence }
    } finally {
      session.close()
    }
  } catch (error) {
    if (!hasCode(error, 'ABORTED') || !signal.aborted) throw error
    return { ...record, embedding: null, refuted: new Map(), outcome: NOTHING, confidence: null }
  }
}

/** Returns the engine with the head of the caller. */
function engineOf({ engine }: SolverParts, { caller }: AttemptOptions): Engine {
  return caller === undefined ? engine : { ...engine, head: engine.headOf(caller) }
}

/** The settings with `answerTokens` bounded by the room that prompt and judge leave in the model's context. */
function withinContext(
  { engine, judgeParts }: SolverParts,
  { question }: SolveRequest,
  settings: Settings,
  { messages, tokens }: Prompt,
): Settings {
  const room = judgeParts.verdicts.room({ question, messages, prompt: tokens }, engine.contextLength)
  if (room >= 1) return { ...settings, answerTokens: Math.min(settings.answerTokens, room) }
  throw new ServiceError(
    'PROMPT_TOO_LONG',
    `solve: expected a prompt that leaves room for an answer and its judging in ${engine.contextLength} tokens, got ${tokens.length}`,
  )
}

interface ContextOptions extends Omit<AttemptOptions, 'strategy'> {
  readonly request: SolveRequest
  readonly prompt: Prompt
  readonly session: LatentSession
  readonly state: SolveState
}

async function openContext(parts: SolverParts, options: ContextOptions): Promise<SolveContext> {
  const { engine, episodes, logger, tracer } = parts
  const { request, settings, models, session, seed, signal, emit, state } = options
  const { head, eosTokenIds } = engine
  const { weaver, rewardModel, judge: fusedJudge = null } = models
  const confidences = createConfidences({ rewardModel, signal, logger, degraded: state.degraded })
  const memory = await openMemory({
    engine,
    session,
    question: () => parts.questionSpan(options.prompt.tokens),
    episodes,
    storeTimeouts: parts.storeTimeouts,
    storeOutages: parts.storeOutages,
    request,
    settings,
    weaver,
    signal,
    logger,
    emit,
    state,
  })
  const answers = createAnswers({
    session,
    judge: judgeOf(parts, options, confidences),
    confidences,
    fusedJudge,
    codec: engine.codec,
    answerFormat: parts.answerFormat,
    eosTokenIds,
    settings,
    seed,
    withThoughts: needsThoughts(parts, options),
    withTokens: options.withTokens,
    countsEarly: options.countsEarly,
    withSignals: needsSignals(parts, options),
    refuted: memory.refuted,
    signal,
    emit,
    state,
    tracer,
  })
  return { settings, seed, signal, emit, answers, memory, head, eosTokenIds, state, tracer }
}

function judgeOf(
  { judgeParts, judgeFor, episodes }: SolverParts,
  { request, settings, models, prompt, session, state }: ContextOptions,
  confidences: ReturnType<typeof createConfidences>,
): Judge {
  if (judgeFor !== null) return judgeFor(request)
  const isKept = request.learn && episodes !== null
  const isFused = (models.judge ?? null) !== null
  const hasOwnWeights = (isKept || isFused) && request.reward !== undefined
  return buildJudge(judgeParts, {
    settings,
    admissionWeights: hasOwnWeights ? profileWeights(judgeParts.profile) : null,
    session,
    verdictContext: {
      question: request.question,
      messages: prompt.messages,
      prompt: prompt.tokens,
      promptSequence: session.prompt,
    },
    rewardModel: models.rewardModel,
    confidences,
    state,
  })
}

/**
 * Whether answers must come with the signals of their tokens: the episode keeps them, the response shows them, they are
 * chosen by them, or a search begins at the places of highest entropy (known entropies also bound random ones). They cost
 * some 3 % of a decoding step of one row, and 6 % of one of eight, on a vocabulary of 152k.
 */
function needsSignals(
  { episodes }: SolverParts,
  {
    request: { learn, explain, strategy },
    settings: { positions, policy, searchPays, ties },
    models,
  }: ContextOptions,
): boolean {
  const isKept = learn && episodes !== null
  const ranksPlaces =
    strategy === 'fork' || (strategy === 'latentseek' && positions !== null && positions !== 'prefix')
  const mayVote = strategy === 'auto' && !searchPays
  const isChosenBy = strategy === 'best-of-n' || mayVote || policy !== null || (models.judge ?? null) !== null
  const breaksTies = strategy === 'majority' && ties !== 'reward'
  return isKept || explain || ranksPlaces || isChosenBy || breaksTies
}

/** Whether answers must come with their latent thoughts: the episode keeps them, or the latent reward model scores them. */
function needsThoughts(
  { engine, episodes }: SolverParts,
  { request, settings, models }: ContextOptions,
): boolean {
  if (engine.thoughtLayers === 0) return false
  const isKept = request.learn && episodes !== null && settings.thoughts > 0
  return isKept || models.rewardModel !== null || choosesByRewardModel(request, settings)
}
