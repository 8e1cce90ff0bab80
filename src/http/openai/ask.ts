/** @file From the parameters of an OpenAI-compatible operation to a request of the solver. Contradictions are refused. */

import type { Static } from 'typebox'
import { type Fault, ServiceError } from '#errors'
import {
  type ContextTurn,
  type Effort,
  SAMPLING_STRATEGIES,
  type SolveRequest,
  type Strategy,
} from '#solving'
import type { CircadianOptions } from '../schemas/openai.ts'
import { SOLVE_DEFAULTS } from '../schemas/solve.ts'
import { findUnused } from '../unused-settings.ts'
import { strategyOf } from './model-names.ts'

/** Parameters of a request under the names of the operation, which errors repeat. null and undefined: not given. */
export interface Ask {
  readonly model: string
  /** Turns and the JSON pointers to them; the last is the question. */
  readonly turns: readonly { readonly turn: ContextTurn; readonly pointer: string }[]
  readonly circadian: Static<typeof CircadianOptions> | undefined
  readonly stop: readonly string[]
  readonly seed: Parameter<number>
  readonly temperature: Parameter<number>
  readonly topP: Parameter<number>
  readonly maxAnswerTokens: Parameter<number>
  readonly maxReasoningTokens: Parameter<number>
  readonly deadlineMs: Parameter<number>
  readonly effort: Parameter<'none' | Effort>
  readonly store: Parameter<boolean>
}

export interface Parameter<T> {
  readonly value: T | undefined
  /** JSON pointer to the parameter. */
  readonly pointer: string
}

/** Returns a parameter by its path in the body; null means that it is not given. */
export function parameter<T>(value: T | null | undefined, pointer: string): Parameter<T> {
  return { value: value ?? undefined, pointer }
}

/**
 * Returns the request of the solver.
 *
 * @throws ServiceError MODEL_NOT_FOUND, and REQUEST_INVALID for a last turn that is not the user's, and for parameters that
 * contradict each other or the strategy
 */
export function toSolveRequest(ask: Ask, modelId: string, tenantId: string): SolveRequest {
  const named = strategyOf(ask.model, modelId)
  const { circadian = {} } = ask
  const { budget = {}, learn, samples, sampling } = circadian
  const question = questionOf(ask)
  const isDraft = checkEffort(ask)
  const strategy = isDraft ? 'greedy' : named
  const answerTokens = agreed(ask.maxAnswerTokens, budget.maxAnswerTokens, 'budget/maxAnswerTokens')
  const searchTokens = agreed(ask.maxReasoningTokens, budget.maxSearchTokens, 'budget/maxSearchTokens')
  const maxMs = agreed(ask.deadlineMs, budget.maxMs, 'budget/maxMs')
  if (answerTokens !== undefined && answerTokens > (budget.maxNewTokens ?? answerTokens)) {
    throw contradiction(ask.maxAnswerTokens.pointer, '/circadian/budget/maxNewTokens')
  }
  if (ask.store.value === false && learn === true) throw contradiction(ask.store.pointer, '/circadian/learn')
  const drawn = samplingOf(ask, strategy)
  const unused = findUnused(circadian, strategy, '/circadian')
  if (unused !== null) throw invalid(unused.pointer, unused.detail)
  const seed = agreed(ask.seed, circadian.seed, 'seed')
  const context = ask.turns.slice(0, -1).map(({ turn }) => turn)
  const { effort } = ask
  return {
    ...SOLVE_DEFAULTS,
    ...circadian,
    tenantId,
    question,
    strategy,
    learn: ask.store.value === false ? false : (learn ?? SOLVE_DEFAULTS.learn),
    ...(context.length > 0 && { context }),
    ...(ask.stop.length > 0 && { stop: ask.stop }),
    ...(seed !== undefined && { seed }),
    ...(effort.value !== undefined && effort.value !== 'none' && { effort: effort.value }),
    ...(drawn && { sampling: { ...sampling, ...drawn } }),
    // Samples at temperature 0 are all the same.
    ...(drawn?.temperature === 0 && { samples: samples ?? 1 }),
    ...withBudget({
      ...budget,
      ...(answerTokens !== undefined && { maxAnswerTokens: answerTokens }),
      ...(searchTokens !== undefined && { maxSearchTokens: searchTokens }),
      ...(maxMs !== undefined && { maxMs }),
    }),
  }
}

function withBudget(budget: NonNullable<SolveRequest['budget']>): Pick<SolveRequest, 'budget'> {
  return Object.keys(budget).length === 0 ? {} : { budget }
}

function questionOf({ turns }: Ask): string {
  const last = turns.at(-1)
  if (last === undefined) throw invalid('/messages', 'expected one or more turns, got none')
  const { turn, pointer } = last
  if (turn.role !== 'user')
    throw invalid(pointer, `expected a last turn of the user, got one of role ${turn.role}`)
  if (turn.content.trim() === '')
    throw invalid(`${pointer}/content`, 'expected a question, got an empty text')
  return turn.content
}

/** Returns whether the request asks for the draft alone. */
function checkEffort({ effort, maxReasoningTokens, circadian }: Ask): boolean {
  const isNone = effort.value === 'none'
  const { samples, budget = {} } = circadian ?? {}
  if (isNone) {
    const asked: readonly [string, number | undefined, number][] = [
      [maxReasoningTokens.pointer, maxReasoningTokens.value, 0],
      ['/circadian/budget/maxSearchTokens', budget.maxSearchTokens, 0],
      ['/circadian/budget/maxIterations', budget.maxIterations, 0],
      ['/circadian/samples', samples, 1],
    ]
    const [pointer] = asked.find(([, value = 0, most]) => value > most) ?? []
    if (pointer !== undefined) throw contradiction(effort.pointer, pointer)
  }
  const isNothing = maxReasoningTokens.value === 0
  if (isNothing && effort.value !== undefined && !isNone) {
    throw contradiction(effort.pointer, maxReasoningTokens.pointer)
  }
  return isNone || isNothing
}

const MIN_TEMPERATURE = 0.01

function samplingOf(ask: Ask, strategy: Strategy): SolveRequest['sampling'] | null {
  const { temperature, topP, circadian } = ask
  if (temperature.value === undefined && topP.value === undefined) return null
  if (!SAMPLING_STRATEGIES.has(strategy)) {
    checkUnsampled(temperature, 0, strategy)
    checkUnsampled(topP, 1, strategy)
    return null
  }
  const heat = agreed(temperature, circadian?.sampling?.temperature, 'sampling/temperature')
  if (heat !== undefined && heat > 0 && heat < MIN_TEMPERATURE) {
    throw invalid(temperature.pointer, `expected 0 or at least ${MIN_TEMPERATURE}, got ${heat}`)
  }
  const share = agreed(topP, circadian?.sampling?.topP, 'sampling/topP')
  return {
    ...(heat !== undefined && { temperature: heat }),
    ...(share !== undefined && { topP: share }),
  }
}

/** Checks a parameter of sampling beside a strategy that takes the most likely tokens, as it does with the value `only`. */
function checkUnsampled({ value, pointer }: Parameter<number>, only: number, strategy: Strategy): void {
  if (value === undefined || value === only) return
  const others = [...SAMPLING_STRATEGIES].map((name) => `circadian/${name}`).join(', ')
  throw invalid(
    pointer,
    `expected ${only}, because the strategy ${strategy} takes the most likely tokens (${others} sample), got ${value}`,
  )
}

/** Returns the value of a parameter, or that of the option which means the same. @throws when they differ */
function agreed<T>({ value, pointer }: Parameter<T>, option: T | undefined, path: string): T | undefined {
  if (value !== undefined && option !== undefined && value !== option) {
    throw contradiction(pointer, `/circadian/${path}`)
  }
  return value ?? option
}

/** Returns the error of a parameter that contradicts another one. */
export function contradiction(pointer: string, other: string): ServiceError {
  return invalid(
    pointer,
    `expected a value that agrees with ${parameterName(other)}, got one that contradicts it`,
  )
}

/** Returns the error of one parameter. */
export function invalid(pointer: string, detail: string): ServiceError {
  const fault: Fault = { pointer, detail }
  return new ServiceError('REQUEST_INVALID', `${parameterName(pointer)}: ${detail}`, { faults: [fault] })
}

/** Returns the name of a parameter as OpenAI writes it: `messages[0].content`; empty for the whole body. */
export function parameterName(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '')
}
