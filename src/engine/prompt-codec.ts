/** @file Converts text to tokens and back with the model's own tokenizer and chat template. */

import { Tokenizer } from '@huggingface/tokenizers'
import { coerceError, ServiceError } from '#errors'
import { idsOfTokens, mergeAddedTokens } from './added-tokens.ts'
import { type ChatTemplate, createChatTemplate } from './chat-template.ts'
import {
  BOUNDARY,
  controlTokens,
  createBreaker,
  SPECIAL_TOKENS,
  TURN_END,
  tokenText,
} from './control-tokens.ts'
import type { TokenizerTokens } from './model-config.ts'
import { DEFAULT_DATE, type ModelProfile } from './profile.ts'
import { templateTurns } from './solver-turns.ts'
import { endsInThought, findThinkingTags, splitThought } from './thinking.ts'
import type { ChatMessage, PromptCodec, TokenizerFiles } from './types.ts'

export interface PromptCodecOptions {
  /** Variables and date of the chat template; none and the default date unless given. */
  readonly template?: ModelProfile['template']
  /** Text of the profile in a model's answers, whose special tokens must stay in decoded text; none unless given. */
  readonly shown?: string | undefined
  /** `V`, the number of token ids of the model; all tokens of the tokenizer unless given. */
  readonly vocabularySize?: number
}

/** The codec of a model directory. */
export interface ModelCodec extends PromptCodec {
  /** Tokens by which the model's sizes and the end of its answers are known. */
  readonly tokens: TokenizerTokens
}

/**
 * Builds the codec of a model.
 *
 * A chat template writes the special tokens itself, so its output is encoded without adding any: a template
 * that starts with BOS gives one BOS, not two.
 *
 * @throws ServiceError MODEL_INVALID when the tokenizer or the template cannot be parsed, the two files of the
 * tokenizer disagree about a token, or its vocabulary does not fit into the model's
 */
export function createPromptCodec(source: TokenizerFiles, options: PromptCodecOptions = {}): ModelCodec {
  const { shown = '', template: settings = { variables: {}, date: DEFAULT_DATE }, vocabularySize } = options
  const { config, chatTemplate } = source
  const merged = mergeAddedTokens(source.tokenizer, config, vocabularySize)
  const tags = findThinkingTags(
    merged.added_tokens.map(({ content }) => content),
    chatTemplate,
  )
  const isShown = ({ content, special = false }: { content: string; special?: boolean }) =>
    content === tags?.open || content === tags?.close || (special && shown.includes(content))
  const visible = merged.added_tokens.filter(isShown).map(({ content }) => content)
  const tokenizerJson = {
    ...merged,
    added_tokens: merged.added_tokens.map((token) => (isShown(token) ? { ...token, special: false } : token)),
  }
  const files = { ...source, tokenizer: tokenizerJson }
  const tokenizer = understand('tokenizer.json', () => {
    const made = new Tokenizer(tokenizerJson, config)
    // The library finds some faults only in use.
    const { ids } = made.encode('1 a', { add_special_tokens: false })
    if (ids.length > 0) made.decode(ids, { skip_special_tokens: true })
    return made
  })
  const specialTokens = Object.fromEntries(
    SPECIAL_TOKENS.flatMap((name) => {
      const text = tokenText(config[name])
      return text === null ? [] : [[name, text]]
    }),
  )
  const template = understand('the chat template', () =>
    createChatTemplate(chatTemplate, { ...settings, specialTokens }),
  )
  // Python's default was true for years and is false now; true would drop the space before a full stop.
  const cleanUp = config['clean_up_tokenization_spaces'] === true

  const encodePart = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids
  const encode = (text: string) => text.split(BOUNDARY).flatMap((part) => encodePart(part))
  const { special, turns } = controlTokens(files, visible)
  const breakSpecial = createBreaker(special, tokenizer)
  const quote = createBreaker([...special, ...turns], tokenizer)
  const quoteAnswers = (messages: readonly ChatMessage[]) =>
    messages.map((message) =>
      message.role === 'assistant' ? { ...message, content: breakSpecial(message.content) } : message,
    )
  let generationPrompt: string | undefined
  return {
    tokens: {
      ids: idsOfTokens(merged, source.tokenizer, vocabularySize),
      eos: [tokenizer.token_to_id(tokenText(config['eos_token']) ?? '')].filter((id) => id !== undefined),
      turnEnd: findTurnEnd(template, encode, new Set(merged.added_tokens.map(({ id }) => id))),
      maxLength: config['model_max_length'],
    },
    encode,
    quote,
    thoughtEnd: tags === null ? null : encode(`\n${tags.close}\n\n`),
    encodeChat: (messages, prefill = '') => encode(template.render(quoteAnswers(messages)) + prefill),
    encodeAfterAnswer(messages, prefill = '') {
      const last = messages.findLastIndex(({ role }) => role === 'assistant')
      const marked: ChatMessage = { role: 'assistant', content: `answer${TURN_END}` }
      const rendered = template.render(quoteAnswers(messages).with(last, marked))
      const end = rendered.lastIndexOf(TURN_END)
      if (end !== -1) return encode(rendered.slice(end + TURN_END.length) + prefill)
      throw new ServiceError(
        'MODEL_UNSUPPORTED',
        'judge: expected a chat template that repeats the turn before the judge, got a conversation without it',
      )
    },
    renderChat: (messages) => template.render(messages),
    decode: (tokens) =>
      tokens.length === 0
        ? ''
        : tokenizer.decode([...tokens], { skip_special_tokens: true, clean_up_tokenization_spaces: cleanUp }),
    splitThought(text, prefill = '') {
      if (tags === null) return { reasoning: text, final: text }
      generationPrompt ??= template.render([{ role: 'user', content: 'question' }])
      return splitThought(text, tags, endsInThought(tags, generationPrompt, prefill))
    },
  }
}

/** Returns the control token that a template writes after an answer; none when it writes a text. */
function findTurnEnd(
  template: ChatTemplate,
  encode: (text: string) => readonly number[],
  added: ReadonlySet<number>,
): number[] {
  const turns: ChatMessage[] = [
    { role: 'user', content: 'question' },
    { role: 'assistant', content: `answer${TURN_END}` },
  ]
  try {
    const rendered = template.renderEnded(turns)
    const end = rendered.lastIndexOf(TURN_END)
    const [id] = end === -1 ? [] : encode(rendered.slice(end + TURN_END.length).trimStart())
    return id !== undefined && added.has(id) ? [id] : []
  } catch {
    // A template that takes no answers is refused only where the profile needs them.
    return []
  }
}

/**
 * Renders and encodes the turns that a profile sends: its prompt, and the judge's prompts after an answer when
 * the judge is asked in a turn of its own.
 *
 * @throws ServiceError MODEL_INVALID when the chat template takes no such turns, or leaves the question out
 */
export function checkChatTemplate(codec: PromptCodec, { solver, judge }: ModelProfile): void {
  const prompt = templateTurns(solver)
  const prompts = judge.mode !== 'continuation' ? judge.criteria.map((criterion) => criterion.prompt) : []
  const judged = prompts.map((content): ChatMessage[] => [
    ...prompt,
    { role: 'assistant', content: 'answer' },
    { role: 'user', content },
  ])
  for (const turns of [prompt, ...judged]) {
    const roles = turns.map(({ role }) => role).join(', ')
    understand(`the chat template with the turns ${roles}`, () => codec.encodeChat(turns, judge.prefill))
    checkRepeats(codec.renderChat(turns), turns.at(-1)!.content.trim(), roles)
    if (judge.mode === 'turn' && turns !== prompt) codec.encodeAfterAnswer(turns)
  }
  understand('the chat template with the turn user', () => codec.splitThought(''))
}

/** Templates for lists of parts write nothing for a turn of text: the model would never see the question. */
function checkRepeats(rendered: string, content: string, roles: string): void {
  if (rendered.includes(content)) return
  throw new ServiceError(
    'MODEL_INVALID',
    `load model: expected the chat template with the turns ${roles} to repeat the last turn, ` +
      `got ${JSON.stringify(rendered.slice(0, MAX_SHOWN))}; use a template for turns of text`,
  )
}

/** Upper bound on the characters of a rendered prompt in an error. */
const MAX_SHOWN = 200

function understand<Result>(what: string, read: () => Result): Result {
  try {
    return read()
  } catch (thrown) {
    const { message } = coerceError(thrown)
    throw new ServiceError(
      'MODEL_INVALID',
      `load model: expected ${what} to be readable by Hugging Face tokenizers and Jinja, got: ${message}`,
      { cause: thrown },
    )
  }
}
