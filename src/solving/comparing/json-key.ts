/** @file The key of an answer that is JSON: the order of keys and the writing of numbers do not matter. */

import { canonicalDecimal } from '../judging/decimal.ts'
import { plainText } from '../judging/plain-text.ts'

/** Upper bounds on the characters and the depth of a value that is read. */
const MAX_JSON = 16_384
const MAX_DEPTH = 64

/** A number with all its digits: `JSON.parse` alone would round it. */
export class ExactNumber {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/**
 * Returns a JSON value with sorted keys, exact canonical numbers and no white space; null when the text is no
 * JSON, or beyond the bounds. Texts inside are compared by their characters, without white space around them.
 */
export function jsonKey(text: string): string | null {
  try {
    return writeJson(parseJson(text))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/** Reads JSON, its numbers as `ExactNumber`. @throws SyntaxError for other text, and beyond the bounds */
export function parseJson(text: string): unknown {
  if (text.length > MAX_JSON || depthOf(text) > MAX_DEPTH) throw new SyntaxError('expected less JSON')
  return JSON.parse(text, exactNumber)
}

function exactNumber(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number') return value
  const source = context?.source ?? String(value)
  return new ExactNumber(canonicalDecimal(source) ?? source)
}

/** Writes a value of `parseJson` with sorted keys and without white space. */
export function writeJson(value: unknown): string {
  if (value instanceof ExactNumber) return value.text
  if (typeof value === 'string') return JSON.stringify(plainText(value).trim())
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  const fields = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${writeJson(field)}`).join(',')}}`
}

/** Returns the greatest number of brackets that are open at once. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0]
  for (const character of text) {
    if (character === '{' || character === '[') depth += 1
    else if (character === '}' || character === ']') depth -= 1
    deepest = Math.max(deepest, depth)
  }
  return deepest
}
