/** @file Turns the profile's judge into tokens: the sequence that each criterion continues, and the tokens that ask for its verdict. */

import type { Answer, VerdictCriterion } from '#algorithms'
import type { ChatMessage, Engine, ModelProfile, PromptCodec } from '#engine'
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
  type Asked = Omit<VerdictContext, 'promptSequence'>
  /** Returns the tokens of a conversation in which the assistant said `said` and is asked about `answer`. */
  const conversation = (
    criterion: number,
    { question, messages }: Asked,
    { said, answer }: Record<'said' | 'answer', string>,
  ) => {
    const prompt = fillTemplate(judge.criteria[criterion]!.prompt, {
      question: codec.quote(question),
      // The judge of a model that thinks reads the text after its thought.
      answer: codec.quote(codec.splitThought(answer).final ?? ''),
    })
    const asked: ChatMessage[] = [
      ...messages,
      { role: 'assistant', content: said },
      { role: 'user', content: prompt },
    ]
    return codec.encodeChat(asked, judge.prefill)
  }
  /** Returns the tokens after the assistant's text, which are those that do not depend on it. */
  const turn = (criterion: number, asked: Asked, answer: string) =>
    commonEnd(
      conversation(criterion, asked, { said: 'a', answer }),
      conversation(criterion, asked, { said: 'b', answer }),
    )
  // A judge's prompt that quotes the answer puts it into the context twice.
  const quotes = judge.criteria.some((criterion) => criterion.prompt.includes('{answer}'))
  return {
    rowFor: (criterion, context) => (answer) => {
      const whole = conversation(criterion, context, { said: answer.text, answer: answer.text })
      return (
        shareCache(whole, context, answer) ?? continueAnswer(turn(criterion, context, answer.text), answer)
      )
    },
    room(asked, contextLength) {
      const lengths = judge.criteria.map((_, index) => {
        const whole = conversation(index, asked, { said: '', answer: '' })
        return startsWith(whole, asked.prompt)
          ? whole.length
          : asked.prompt.length + turn(index, asked, '').length
      })
      const rest = contextLength - Math.max(...lengths) - maxVerdictTokens(judge)
      return Math.floor(rest / (quotes ? 2 : 1))
    },
  }
}

/** Returns the row of a conversation that begins with the prompt; null for one that begins otherwise. */
function shareCache(
  conversation: readonly number[],
  { prompt, promptSequence }: VerdictContext,
  answer: Answer,
) {
  if (answer.tail.length === 0 && startsWith(conversation, [...prompt, ...answer.tokens])) {
    const suffix = conversation.slice(prompt.length + answer.tokens.length)
    if (suffix.length > 0) return { sequence: answer.sequence, suffix }
  }
  return startsWith(conversation, prompt)
    ? { sequence: promptSequence, suffix: conversation.slice(prompt.length) }
    : null
}

/**
 * Returns the row that appends the judge's turn to the answer as it was written. For templates that write an
 * earlier turn otherwise than the last one: they leave out thoughts, and the empty thought of a generation
 * prompt.
 */
function continueAnswer(turn: readonly number[], { sequence, tail, tokens }: Answer) {
  const isEnded = turn.length > 0 && turn[0] === tokens.at(-1)
  return { sequence, suffix: [...tail, ...(isEnded ? turn.slice(1) : turn)] }
}

function startsWith(tokens: readonly number[], beginning: readonly number[]): boolean {
  return tokens.length >= beginning.length && beginning.every((token, index) => token === tokens[index])
}

function commonEnd(a: readonly number[], b: readonly number[]): readonly number[] {
  let length = 0
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length++
  return a.slice(a.length - length)
}
