/** @file Finds the answer in a text, and normalises it so that equal answers are equal strings. */

import type { ModelProfile } from '#engine'
import { compilePattern } from './compile-pattern.ts'

export interface AnswerFormat {
  /** Returns the normalised answer of a text; null when it has none. */
  extract(text: string): string | null
  /** Normalises a caller's answer the same way. */
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

/** Returns the profile's pattern, else its kind; with neither, the whole text is the answer. */
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

const BOX = '\\boxed{'

/** The content of the `\boxed{}` that opens last among those that are closed, braces balanced; null without one. One pass. */
function findBoxed(text: string): string | null {
  const open: { start: number; boxed: boolean }[] = []
  let found: { start: number; end: number } | null = null
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '{') {
      const start = index + 1
      open.push({ start, boxed: text.endsWith(BOX, start) })
    }
    if (text[index] !== '}') continue
    const closed = open.pop()
    if (closed?.boxed && closed.start > (found?.start ?? -1)) found = { start: closed.start, end: index }
  }
  return found && text.slice(found.start, found.end)
}

/** The keys of an answer in JSON, as LatentSeek's second prompt asks for it (arXiv 2505.13308, appendix). */
const JSON_KEYS = ['final answer', 'final_answer', 'finalAnswer', 'answer']
/** Upper bound on opening braces tried: a text of nothing but braces would otherwise cost the square of its length. */
const MAX_JSON_STARTS = 64

/** The answer field of the JSON object that ends last in the text; null when that has none. */
function findJsonAnswer(text: string): string | null {
  const end = text.lastIndexOf('}')
  let start = end
  for (let tried = 0; tried < MAX_JSON_STARTS && start > 0; tried++) {
    start = text.lastIndexOf('{', start - 1)
    if (start === -1) return null
    const answer = answerField(text.slice(start, end + 1))
    if (answer !== null) return answer
  }
  return null
}

function answerField(json: string): string | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    // No object starts here: the caller tries the next brace to the left.
    return null
  }
  if (typeof parsed !== 'object' || parsed === null) return null
  const fields = Object.entries(parsed)
  for (const key of JSON_KEYS) {
    const value: unknown = fields.find(([name]) => name === key)?.[1]
    if (typeof value === 'string') return value
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  }
  return null
}
