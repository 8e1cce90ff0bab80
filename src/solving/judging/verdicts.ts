/** @file Turns the profile's judge into tokens: the sequence that each criterion continues, and the tokens that ask for its verdict. */

import type { Answer, VerdictCriterion } from '#algorithms'
import type { ChatMessage, Engine, ModelProfile, PromptCodec } from '#engine'
import { ServiceError } from '#errors'
import type { SequenceId } from '#ports'
import { fillTemplate } from '../prompt.ts'
import { compileJudge, type JudgeCompiled } from './compile-judge.ts'

/** The question that a verdict is about, its prompt, and the engine's sequence of that prompt. */
export interface VerdictContext {
  readonly question: string
  readonly messages: readonly ChatMessage[]
  readonly prompt: readonly number[]
  readonly promptSequence: SequenceId
}

export interface Verdicts {
  criteriaFor(context: VerdictContext): readonly VerdictCriterion[]
  readonly ask: JudgeCompiled
  /** Returns the largest number of tokens that an answer to this question may have, so that answer and judging fit the context. */
  room(context: Omit<VerdictContext, 'promptSequence'>, contextLength: number): number
}

/**
 * Compiles the judge of a profile.
 *
 * @throws ServiceError MODEL_INVALID when the profile's verdict words have no usable tokens.
 */
export function createVerdicts({ codec, model }: Pick<Engine, 'codec' | 'model'>): Verdicts {
  const { judge } = model.profile
  const compile = judge.mode === 'continuation' ? continuationRows : chatRows
  const rows = compile(judge, codec)
  return {
    criteriaFor: (context) =>
      judge.criteria.map((criterion, index) => ({
        name: criterion.name,
        weight: criterion.weight,
        rowFor: rows.rowFor(index, context),
      })),
    ask: compileJudge({ codec, model }),
    room: rows.room,
  }
}

interface Rows {
  rowFor(criterion: number, context: VerdictContext): VerdictCriterion['rowFor']
  room: Verdicts['room']
}

/** Upper bound on the tokens that the judge itself writes about one criterion. */
function maxVerdictTokens({ verdict, maxNewTokens }: ModelProfile['judge']): number {
  return verdict === 'logit' ? 0 : maxNewTokens
}

/** A continuation judge appends its prompt to the answer and shares the answer's cache. */
function continuationRows(judge: ModelProfile['judge'], codec: PromptCodec): Rows {
  const suffixes = judge.criteria.map((criterion) => codec.encode(criterion.prompt))
  const longest = Math.max(...suffixes.map((suffix) => suffix.length))
  return {
    rowFor: (criterion) => (answer) => ({
      sequence: answer.sequence,
      suffix: [...answer.tail, ...suffixes[criterion]!],
    }),
    room: ({ prompt }, contextLength) => contextLength - prompt.length - longest - maxVerdictTokens(judge),
  }
}

/** A chat judge asks in a new turn after the answer; the engine reuses the part of that conversation that it has cached. */
function chatRows(judge: ModelProfile['judge'], codec: PromptCodec): Rows {
  const conversation = (
    criterion: number,
    { question, messages }: Omit<VerdictContext, 'promptSequence'>,
    answer: string,
  ) =>
    codec.encodeChat([
      ...messages,
      { role: 'assistant', content: answer },
      { role: 'user', content: fillTemplate(judge.criteria[criterion]!.prompt, quoted(question, answer)) },
    ])
  const quoted = (question: string, answer: string) => ({
    question: codec.quote(question),
    answer: codec.quote(answer),
  })
  // A judge's prompt that quotes the answer puts it into the context twice.
  const quotes = judge.criteria.some((criterion) => criterion.prompt.includes('{answer}'))
  return {
    rowFor: (criterion, context) => (answer) =>
      shareCache(conversation(criterion, context, answer.text), context, answer),
    room(context, contextLength) {
      const longest = Math.max(...judge.criteria.map((_, index) => conversation(index, context, '').length))
      return Math.floor((contextLength - longest - maxVerdictTokens(judge)) / (quotes ? 2 : 1))
    },
  }
}

function shareCache(conversation: readonly number[], context: VerdictContext, answer: Answer) {
  const { prompt, promptSequence } = context
  if (answer.tail.length === 0 && startsWith(conversation, [...prompt, ...answer.tokens])) {
    const suffix = conversation.slice(prompt.length + answer.tokens.length)
    if (suffix.length > 0) return { sequence: answer.sequence, suffix }
  }
  if (startsWith(conversation, prompt)) {
    return { sequence: promptSequence, suffix: conversation.slice(prompt.length) }
  }
  throw new ServiceError(
    'MODEL_UNSUPPORTED',
    'chat judge: expected a chat template that keeps the prompt as it was when turns follow, got another beginning',
  )
}

function startsWith(tokens: readonly number[], beginning: readonly number[]): boolean {
  return tokens.length >= beginning.length && beginning.every((token, index) => token === tokens[index])
}
