/** @file Turns the profile's judge into tokens: the sequence that each criterion continues, and the tokens that ask for its verdict. */

import type { Answer, VerdictCriterion } from '#algorithms'
import { type ChatMessage, type Engine, fillTemplate, type ModelProfile, type PromptCodec } from '#engine'
import type { SequenceId } from '#ports'
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
  const rows = ROWS[judge.mode](judge, codec)
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

const ROWS: Readonly<
  Record<ModelProfile['judge']['mode'], (judge: ModelProfile['judge'], codec: PromptCodec) => Rows>
> = {
  continuation: continuationRows,
  chat: chatRows,
  turn: turnRows,
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

type Asked = Omit<VerdictContext, 'promptSequence'>

/** The conversations in which a judge is asked about an answer, as tokens. */
interface Conversations {
  /** Returns the conversation in which the assistant said `answer`. */
  whole(criterion: number, asked: Asked, answer: string): readonly number[]
  /** Returns its end, from the end of the assistant's text on. */
  turn(criterion: number, asked: Asked, answer: string): readonly number[]
  /** Whether a criterion's prompt contains the answer. */
  quotes(criterion: number): boolean
}

function createConversations(
  { criteria, prefill }: ModelProfile['judge'],
  codec: PromptCodec,
): Conversations {
  function conversation(criterion: number, { question, messages }: Asked, answer: string): ChatMessage[] {
    const prompt = fillTemplate(criteria[criterion]!.prompt, {
      question: codec.quote(question),
      // The judge of a model that thinks reads the text after its thought.
      answer: codec.quote(codec.splitThought(answer).final ?? ''),
    })
    return [...messages, { role: 'assistant', content: answer }, { role: 'user', content: prompt }]
  }
  return {
    whole: (...asked) => codec.encodeChat(conversation(...asked), prefill),
    turn: (...asked) => codec.encodeAfterAnswer(conversation(...asked), prefill),
    quotes: (criterion) => criteria[criterion]!.prompt.includes('{answer}'),
  }
}

/**
 * Returns the number of tokens that an answer may have beside the `used` ones of the judge. A judge that quotes
 * the answer has it in the context twice.
 */
function roomBeside(
  judge: ModelProfile['judge'],
  { quotes }: Conversations,
  used: readonly number[],
  contextLength: number,
) {
  const rest = contextLength - Math.max(...used) - maxVerdictTokens(judge)
  return Math.floor(rest / (judge.criteria.some((_, index) => quotes(index)) ? 2 : 1))
}

/**
 * A chat judge asks in a new turn after the answer; the engine reuses the part of that conversation that it has
 * cached.
 */
function chatRows(judge: ModelProfile['judge'], codec: PromptCodec): Rows {
  const conversations = createConversations(judge, codec)
  const { whole, turn } = conversations
  return {
    rowFor: (criterion, context) => (answer) =>
      shareCache(whole(criterion, context, answer.text), context, answer) ??
      continueAnswer(turn(criterion, context, answer.text), answer),
    room(asked, contextLength) {
      const used = judge.criteria.map((_, index) => {
        const empty = whole(index, asked, '')
        return startsWith(empty, asked.prompt)
          ? empty.length
          : asked.prompt.length + turn(index, asked, '').length
      })
      return roomBeside(judge, conversations, used, contextLength)
    },
  }
}

/** A turn judge asks in a new turn after the answer as it was written, and always shares the answer's cache. */
function turnRows(judge: ModelProfile['judge'], codec: PromptCodec): Rows {
  const conversations = createConversations(judge, codec)
  const { turn, quotes } = conversations
  return {
    rowFor(criterion, context) {
      if (quotes(criterion)) {
        return (answer) => continueAnswer(turn(criterion, context, answer.text), answer)
      }
      let shared: readonly number[] | undefined
      return (answer) => {
        shared ??= turn(criterion, context, '')
        return continueAnswer(shared, answer)
      }
    },
    room(asked, contextLength) {
      const used = judge.criteria.map((_, index) => asked.prompt.length + turn(index, asked, '').length)
      return roomBeside(judge, conversations, used, contextLength)
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

/** Upper bound on the tokens up to the end of an answer in a turn: white space may stand before its end token. */
const MAX_TOKENS_TO_END = 3

/**
 * Returns the row that appends the judge's turn to the answer as it was written. A chat judge needs it for
 * templates that write an earlier turn otherwise than the last one: they leave out thoughts, and the empty
 * thought of a generation prompt.
 */
function continueAnswer(turn: readonly number[], { sequence, tail, tokens }: Answer) {
  // An answer that ended by itself has its end token already.
  const end = turn.slice(0, MAX_TOKENS_TO_END).indexOf(tokens.at(-1) ?? -1)
  return { sequence, suffix: [...tail, ...turn.slice(end + 1)] }
}

function startsWith(tokens: readonly number[], beginning: readonly number[]): boolean {
  return tokens.length >= beginning.length && beginning.every((token, index) => token === tokens[index])
}
