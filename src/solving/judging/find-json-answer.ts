/** @file Finds the answer field of the JSON object that a text ends with, as models write JSON. */

import { ExactNumber, parseJson, writeJson } from '../comparing/json-key.ts'
import { LATEX_COMMANDS } from './latex-commands.ts'

/** Upper bound on the characters, from the end of a text, in which an object is looked for. */
const MAX_TEXT = 16_384
/** Upper bound on the characters read for all objects that may begin in a text. */
const MAX_READ = 500_000

/** The keys of an answer, in lower case, as LatentSeek's second prompt asks for it (arXiv 2505.13308, appendix). */
const JSON_KEYS = ['final answer', 'final_answer', 'finalanswer', 'answer']

/**
 * Returns the answer field of the object that ends last in the text and has one that is not empty; of objects
 * inside each other, the outer one's. Null when there is none.
 *
 * @param acceptsValues whether an answer may be an object or an array, which is returned as JSON
 */
export function findJsonAnswer(text: string, acceptsValues = false): string | null {
  const tail = text.slice(-MAX_TEXT)
  let found: { answer: string; end: number } | null = null
  let readable = MAX_READ
  for (let start = tail.lastIndexOf('{'); start >= 0 && readable > 0; start = previousBrace(tail, start)) {
    if (!opensObject(tail, start)) continue
    const object = readObject(tail, start)
    readable -= object.end - start
    const answer = object.json === null ? null : answerField(object.json, acceptsValues)
    if (answer !== null && object.end >= (found?.end ?? 0)) found = { answer, end: object.end }
  }
  return found?.answer ?? null
}

function previousBrace(text: string, before: number): number {
  return before === 0 ? -1 : text.lastIndexOf('{', before - 1)
}

function opensObject(text: string, start: number): boolean {
  let next = start + 1
  while (/\s/.test(text.charAt(next))) next += 1
  return text[next] === '"'
}

interface WrittenObject {
  /** The object as JSON; null when it is not closed. */
  readonly json: string | null
  readonly end: number
}

/**
 * Reads an object up to its own closing brace and repairs what models get wrong: LaTeX whose backslashes are
 * not doubled, raw control characters in strings, commas before a closing bracket.
 */
function readObject(text: string, start: number): WrittenObject {
  const parts: string[] = []
  let depth = 0
  let isString = false
  for (let index = start; index < text.length; index++) {
    const character = text.charAt(index)
    if (character === '"') isString = !isString
    if (isString && character === '\\') {
      const isEscape = beginsEscape(text, index)
      parts.push(isEscape ? text.slice(index, index + 2) : '\\\\')
      if (isEscape) index += 1
    } else if (isString) {
      parts.push(character < ' ' ? JSON.stringify(character).slice(1, -1) : character)
    } else if (character !== ',' || !closesNext(text, index + 1)) {
      parts.push(character)
      if (character === '{' || character === '[') depth += 1
      if (character === '}' || character === ']') depth -= 1
      if (depth === 0) return { json: parts.join(''), end: index + 1 }
    }
  }
  return { json: null, end: text.length }
}

/**
 * Whether a backslash in a string begins an escape sequence of JSON rather than LaTeX. No writer of JSON means
 * a form feed or a backspace before a letter; a tab or a line break before one is LaTeX only when both
 * together are a known command.
 */
function beginsEscape(text: string, at: number): boolean {
  switch (text.charAt(at + 1)) {
    case '"':
    case '\\':
    case '/':
      return true
    case 'u':
      return /^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6))
    case 'b':
    case 'f':
      return !/[A-Za-z]/.test(text.charAt(at + 2))
    case 'n':
    case 'r':
    case 't':
      return !LATEX_COMMANDS.has(commandAt(text, at + 1))
    default:
      return false
  }
}

function commandAt(text: string, at: number): string {
  return /^[A-Za-z]+/.exec(text.slice(at, at + 32))?.[0] ?? ''
}

function closesNext(text: string, at: number): boolean {
  let next = at
  while (/\s/.test(text.charAt(next))) next += 1
  return text[next] === '}' || text[next] === ']'
}

function answerField(json: string, acceptsValues: boolean): string | null {
  let parsed: unknown
  try {
    parsed = parseJson(json)
  } catch {
    // No object starts here: the caller tries the next brace to the left.
    return null
  }
  if (typeof parsed !== 'object' || parsed === null) return null
  const fields = Object.entries(parsed)
  for (const key of JSON_KEYS) {
    const value: unknown = fields.findLast(([name]) => name.trim().toLowerCase() === key)?.[1]
    if (typeof value === 'string' && value.trim() !== '') return value
    if (value instanceof ExactNumber) return value.text
    if (typeof value === 'boolean') return String(value)
    if (acceptsValues && typeof value === 'object' && value !== null) return writeJson(value)
  }
  return null
}
