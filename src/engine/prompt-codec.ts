/** @file Converts text to tokens and back with the model's own tokenizer and chat template. */

import { Template } from '@huggingface/jinja'
import { Tokenizer } from '@huggingface/tokenizers'
import { coerceError, ServiceError } from '#errors'
import type { PromptCodec } from './types.ts'

export interface TokenizerFiles {
  /** `tokenizer.json`, parsed. */
  readonly tokenizer: Readonly<Record<string, unknown>>
  /** `tokenizer_config.json`, parsed. */
  readonly config: Readonly<Record<string, unknown>>
  /** Jinja source of the chat template. */
  readonly chatTemplate: string
}

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
 * @throws ServiceError MODEL_INVALID when the tokenizer or the template cannot be parsed, or when the
 * template rejects a system and a user turn
 */
export function createPromptCodec(files: TokenizerFiles): PromptCodec {
  const tokenizer = understand('tokenizer.json', () => new Tokenizer(files.tokenizer, files.config))
  const template = understand('the chat template', () => new Template(files.chatTemplate))
  const specialTokens = Object.fromEntries(
    SPECIAL_TOKENS.map((name) => [name, tokenText(files.config[name])]).filter(([, text]) => text !== null),
  )
  // Python's default was true for years and is false now; true would drop the space before a full stop.
  const cleanUp = files.config['clean_up_tokenization_spaces'] === true

  const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids
  const codec: PromptCodec = {
    encode,
    encodeChat: (messages) =>
      encode(template.render({ ...specialTokens, messages, add_generation_prompt: true })),
    decode: (tokens) =>
      tokens.length === 0
        ? ''
        : tokenizer.decode([...tokens], { skip_special_tokens: true, clean_up_tokenization_spaces: cleanUp }),
  }
  understand('the chat template', () =>
    codec.encodeChat([
      { role: 'system', content: 'system' },
      { role: 'user', content: 'user' },
    ]),
  )
  return codec
}

/**
 * Returns the text of a special token, which the configuration holds as a string or as an AddedToken object.
 */
function tokenText(token: unknown): string | null {
  if (typeof token === 'string') return token
  if (token !== null && typeof token === 'object' && 'content' in token) return String(token.content)
  return null
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
