/** @file Keeps the control tokens of a model apart from the same letters in the texts of callers and of the model. */

import type { Tokenizer } from '@huggingface/tokenizers'
import type { TokenizerFiles } from './types.ts'

/**
 * Boundary in a text at which it is tokenised in two parts; it has no token itself. A Unicode noncharacter,
 * which no text holds and templates pass on.
 */
export const BOUNDARY = '\uFDD0'

/** Marks the end of a turn in a conversation that is rendered, like `BOUNDARY`. */
export const TURN_END = '\uFDD1'

export interface ControlTokens {
  /** Texts of the tokens that the tokenizer calls special. */
  readonly special: readonly string[]
  /** Texts of other added tokens with the same effect, such as `<think>`. */
  readonly turns: readonly string[]
}

/** Names of special tokens that chat templates read, as in transformers' `special_tokens_map`. */
export const SPECIAL_TOKENS = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
]

/** Texts that are control tokens in every model: `<|im_end|>`, `<｜User｜>`. */
const BARRED = /^<[|｜]\S+[|｜]>$/

/**
 * Returns the texts by which a caller could end a turn or begin another.
 *
 * @param others texts of other added tokens that a caller must not write, such as the tags of thoughts
 */
export function controlTokens(
  { tokenizer, config, chatTemplate }: TokenizerFiles,
  others: readonly string[],
): ControlTokens {
  const added = listOf(tokenizer['added_tokens'])
  const additional = listOf(config['additional_special_tokens'])
  const named = SPECIAL_TOKENS.map((name) => tokenText(config[name]))
  const isSpecial = (token: unknown) =>
    named.includes(tokenText(token)) ||
    (typeof token === 'object' && token !== null && 'special' in token && token.special === true)
  const textsOf = (tokens: readonly unknown[]) => tokens.map(tokenText).filter((text) => text !== null)
  // Runs of blanks and HTML tags are added tokens as well, and belong to every text.
  const isControl = (text: string) =>
    BARRED.test(text) || others.includes(text) || (/^[<[]\S+[>\]]$/.test(text) && chatTemplate.includes(text))
  return {
    special: textsOf([...added.filter(isSpecial), ...additional]).filter((text) => !others.includes(text)),
    turns: textsOf(added).filter(isControl),
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/**
 * Returns a function that sets a boundary inside each control token in a text, so that its letters are
 * tokenised as text. Other texts stay as they are.
 */
export function createBreaker(controls: readonly string[], tokenizer: Tokenizer): (text: string) => string {
  const longestFirst = controls.filter(Boolean).toSorted((a, b) => b.length - a.length)
  if (longestFirst.length === 0) return withoutBoundaries
  const source = longestFirst.map((control) => control.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|')
  const { normalizer } = tokenizer
  const pattern = new RegExp(source, normalizer?.normalize('A') === 'a' ? 'giu' : 'gu')
  // A normaliser may make a control token of letters that the pattern does not match.
  const matches = (part: string) =>
    part.search(pattern) !== -1 || (normalizer !== null && normalizer.normalize(part).search(pattern) !== -1)
  return (text) => {
    const plain = withoutBoundaries(text)
    const broken = plain.replace(pattern, breakToken)
    return broken.split(BOUNDARY).some(matches) ? Array.from(plain).join(BOUNDARY) : broken
  }
}

function withoutBoundaries(text: string): string {
  return text.replaceAll(BOUNDARY, '').replaceAll(TURN_END, '')
}

function breakToken(control: string): string {
  const [first = '', ...rest] = Array.from(control)
  // A control token of one letter cannot be broken.
  return rest.length === 0 ? '' : [first, rest.join('')].join(BOUNDARY)
}

/**
 * Returns the text of a special token, which the configuration holds as a string or as an AddedToken object.
 */
export function tokenText(token: unknown): string | null {
  if (typeof token === 'string') return token
  if (token !== null && typeof token === 'object' && 'content' in token) return String(token.content)
  return null
}
