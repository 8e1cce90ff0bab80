/** @file Where the answer stands in the text, and which answers are the same. */

import type { ModelProfile } from '#engine'
import { compilePattern } from './compile-pattern.ts'
import { findBoxed } from './find-boxed.ts'
import { findJsonAnswer } from './find-json-answer.ts'

export interface AnswerFormat {
  /** The normalised answer of a text; null when there is none. */
  extract(text: string): string | null
  /** Normalises a caller's answer as extracted ones are. */
  normalise(answer: string): string
}

type AnswerKind = NonNullable<ModelProfile['answer']['kind']>
type Normaliser = ModelProfile['answer']['normalise'][number]

const NUMBER = /[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?/.source

/** @throws ServiceError MODEL_INVALID when the profile's pattern is not a regular expression. */
export function createAnswerFormat(answer: ModelProfile['answer']): AnswerFormat {
  const find = finderOf(answer)
  const normalise = (found: string) => answer.normalise.reduce((text, step) => NORMALISERS[step](text), found)
  return {
    extract(text) {
      const found = find(text)
      if (found === null) return null
      return normalise(found) || null
    },
    normalise,
  }
}

/** A pattern wins over a kind; with neither, the whole text is the answer. */
function finderOf({ pattern, kind }: ModelProfile['answer']): (text: string) => string | null {
  if (pattern !== undefined) return compilePattern(pattern, 'answer.pattern').last
  return kind === undefined ? (text) => text : FINDERS[kind]
}

const FINDERS: Readonly<Record<AnswerKind, (text: string) => string | null>> = {
  boxed: findBoxed,
  json: findJsonAnswer,
  number: compilePattern(NUMBER, 'answer.kind').last,
}

const NORMALISERS: Readonly<Record<Normaliser, (text: string) => string>> = {
  trim: (text) => text.trim(),
  lowercase: (text) => text.toLowerCase(),
  number: normaliseNumber,
}

/** "1,234.50" and "$1234.5" are the same answer; text that is no number stays as it is. */
function normaliseNumber(text: string): string {
  const plain = text
    .trim()
    .replace(/^\$\s*/, '')
    .replace(/[.,\s]+$/, '')
    .replaceAll(',', '')
  if (!/^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(plain)) return text
  // Beyond 2^53 `Number` would merge different answers.
  if (/^[-+]?\d{16,}$/.test(plain)) return plain.replace(/^\+/, '')
  const value = Number(plain)
  return Number.isFinite(value) ? String(value || 0) : text
}
