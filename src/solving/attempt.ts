/** @file One attempt at a request: prompt, session, strategy. */

import { identityWeaver, type Judge } from '#algorithms'
import type { ChatMessage, Engine } from '#engine'
import type { EpisodeStore } from '#episodes'
import { hasCode, ServiceError } from '#errors'
import type { ActiveModels } from '#serving'
import type { AnswerFormat } from './answer-format.ts'
import { buildJudge, type JudgeParts } from './build-judge.ts'
import { createConfidences } from './confidences.ts'
import { type Clock, createMeter } from './meter.ts'
import { promptMessages } from './prompt.ts'
import type { Outcome, RunRecord, StrategyFunction } from './run.ts'
import type { Settings } from './settings.ts'
import type { SolverLogger } from './solver-logger.ts'
import type { SolveEvent, SolveRequest } from './types.ts'

/** What all requests of a solver share. */
export interface SolverParts {
  readonly engine: Engine
  readonly episodes: EpisodeStore | null
  readonly learned: () => ActiveModels
  readonly logger: SolverLogger
  readonly clock: Clock
  readonly answerFormat: AnswerFormat
  readonly judgeParts: JudgeParts
  /** A control reward in place of the profile's; null: the profile's. */
  readonly controlJudge: ((request: SolveRequest) => Judge) | null
}

export interface AttemptOptions {
  readonly settings: Settings
  /** What serves this request, whatever is activated meanwhile. */
  readonly learned: ActiveModels
  readonly strategy: StrategyFunction
  readonly seed: number
  readonly signal: AbortSignal
  readonly emit: (event: SolveEvent) => void
}

export interface Attempt {
  readonly run: RunRecord
  readonly outcome: Outcome
}

/** When time runs out before the first token. */
const NOTHING: Outcome = {
  chosen: null,
  base: null,
  stopped: 'maxMs',
  iterations: 0,
  evaluations: 0,
  rewardHistory: [],
  retrieved: [],
  embedding: null,
  latents: null,
  trajectory: [],
}

/**
 * Runs a strategy in a session of its own, which is closed when this returns or throws.
 *
 * @throws ServiceError PROMPT_TOO_LONG, ENGINE_OVERLOADED, ENGINE_UNAVAILABLE, ENGINE_CRASHED
 */
export async function attempt(
  parts: SolverParts,
  request: SolveRequest,
  options: AttemptOptions,
): Promise<Attempt> {
  const { engine } = parts
  const messages = promptMessages(request.question, engine.model.profile)
  const prompt = engine.codec.encodeChat(messages)
  const run = openRecord(parts, request, options, { messages, prompt })
  try {
    const { maxMs } = run.settings
    const session = await run.meter.time('queueMs', () =>
      engine.open(prompt, { signal: run.signal, ...(maxMs !== null && { deadlineMs: maxMs }) }),
    )
    try {
      const context = { question: request.question, messages, prompt, promptSequence: session.prompt }
      const judge =
        parts.controlJudge?.(request) ??
        buildJudge(parts.judgeParts, { ...run, session, verdictContext: context })
      return { run, outcome: await options.strategy({ ...run, session, judge }) }
    } finally {
      session.close()
    }
  } catch (error) {
    if (hasCode(error, 'ABORTED') && run.signal.aborted) return { run, outcome: NOTHING }
    throw error
  }
}

function openRecord(
  parts: SolverParts,
  request: SolveRequest,
  { settings, learned, seed, signal, emit }: AttemptOptions,
  { messages, prompt }: { readonly messages: readonly ChatMessage[]; readonly prompt: readonly number[] },
): RunRecord {
  const { engine, episodes, logger, answerFormat } = parts
  const room = parts.judgeParts.verdicts.room(
    { question: request.question, messages, prompt },
    engine.contextLength,
  )
  if (room < 1) {
    throw new ServiceError(
      'PROMPT_TOO_LONG',
      `solve: expected a prompt that leaves room for an answer and its judging in ${engine.contextLength} tokens, got ${prompt.length}`,
    )
  }
  const { rewardModel } = learned
  const degraded: RunRecord['degraded'] = new Set()
  return {
    request,
    settings,
    seed,
    engine,
    episodes,
    logger,
    answerFormat,
    signal,
    emit,
    weaver: request.weaver === false ? identityWeaver : learned.weaver,
    rewardModel,
    confidences: createConfidences({ rewardModel, signal, logger, degraded }),
    answerTokens: Math.min(settings.answerTokens, room),
    promptTokens: prompt.length,
    meter: createMeter(parts.clock),
    candidates: [],
    degraded,
  }
}
