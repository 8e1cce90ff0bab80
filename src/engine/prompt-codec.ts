/** @file Converts text to tokens and back with the model's own tokenizer and chat template. */

import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import { coerceError, ServiceError } from '#errors'
import { BOUNDARY, controlTokens, createBreaker, tokenText } from './control-tokens.ts'
import { modelInvalid } from './model-files.ts'
import type { ModelProfile } from './profile.ts'
import type { ChatMessage, PromptCodec, TokenizerFiles } from './types.ts'

/** Names that chat templates read, as in transformers' `special_tokens_map`. */
const SPECIAL_TOKENS = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
]

/**
 * Builds the codec of a model.
 *
 * A chat template writes the special tokens itself, so its output is encoded without adding any: a template
 * that starts with BOS gives one BOS, not two.
 *
 * @throws ServiceError MODEL_INVALID when the tokenizer or the template cannot be parsed
 */
export function createPromptCodec(files: TokenizerFiles): PromptCodec {
  const tokenizer = understand('tokenizer.json', () => new Tokenizer(files.tokenizer, files.config))
  const template = understand('the chat template', () => new Template(files.chatTemplate))
  const specialTokens = Object.fromEntries(
    SPECIAL_TOKENS.map((name) => [name, tokenText(files.config[name])]).filter(([, text]) => text !== null),
  )
  // Python's default was true for years and is false now; true would drop the space before a full stop.
  const cleanUp = files.config['clean_up_tokenization_spaces'] === true

  const encodePart = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids
  const encode = (text: string) => text.split(BOUNDARY).flatMap((part) => encodePart(part))
  const { special, turns } = controlTokens(files)
  const breakSpecial = createBreaker(special, tokenizer)
  const quote = createBreaker([...special, ...turns], tokenizer)
  return {
    encode,
    quote,
    encodeChat(messages) {
      const quoted = messages.map((message) =>
        message.role === 'assistant' ? { ...message, content: breakSpecial(message.content) } : message,
      )
      return encode(template.render({ ...specialTokens, messages: quoted, add_generation_prompt: true }))
    },
    decode: (tokens) =>
      tokens.length === 0
        ? ''
        : tokenizer.decode([...tokens], { skip_special_tokens: true, clean_up_tokenization_spaces: cleanUp }),
  }
}

/**
 * Renders and encodes the turns that a profile sends: its prompt, and the judge's prompts after an answer when
 * the judge is asked in a chat.
 *
 * @throws ServiceError MODEL_INVALID when the chat template takes no such turns
 */
export function checkChatTemplate(codec: PromptCodec, { solver, judge }: ModelProfile): void {
  const system: ChatMessage[] = solver.system === '' ? [] : [{ role: 'system', content: solver.system }]
  const prompt: ChatMessage[] = [{ role: 'user', content: solver.template }]
  const prompts = judge.mode === 'chat' ? judge.criteria.map((criterion) => criterion.prompt) : []
  const judged = prompts.map((content): ChatMessage[] => [
    ...prompt,
    { role: 'assistant', content: 'answer' },
    { role: 'user', content },
  ])
  for (const turns of [prompt, ...judged]) {
    const fault = faultOf(() => codec.encodeChat([...system, ...turns]))
    if (fault === null) continue
    const roles = [...system, ...turns].map(({ role }) => role).join(', ')
    if (system.length > 0 && faultOf(() => codec.encodeChat(turns)) === null) {
      throw modelInvalid(
        `a chat template that takes the turns ${roles}`,
        fault.message,
        'this template takes no system turn: leave `solver.system` empty',
        fault,
      )
    }
    understand(`the chat template with the turns ${roles}`, () => {
      throw fault
    })
  }
}

function faultOf(render: () => unknown): Error | null {
  try {
    render()
    return null
  } catch (thrown) {
    return coerceError(thrown)
  }
}

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
