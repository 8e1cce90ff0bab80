/** @file Regular expressions of a profile, compiled once, run on bounded text. */

import { ServiceError } from '#errors'

/** Characters of an answer that patterns look at; what a pattern costs grows faster than its text. */
const MAX_TEXT = 16_384

export interface Pattern {
  /** Group 1 (the whole match when there is no group) of the last match in the last 16,384 characters. */
  last(text: string): string | null
  /** The same of the first match in the first 16,384 characters. */
  first(text: string): string | null
}

/** @throws ServiceError MODEL_INVALID when it is not a regular expression. */
export function compilePattern(source: string, where: string): Pattern {
  let regex: RegExp
  try {
    regex = new RegExp(source, 'g')
  } catch (cause) {
    const got = JSON.stringify(source)
    throw new ServiceError('MODEL_INVALID', `profile ${where}: expected a regular expression, got ${got}`, {
      cause,
    })
  }
  const read = (match: RegExpMatchArray | null | undefined) => (match ? (match[1] ?? match[0]) : null)
  return {
    last: (text) => read([...text.slice(-MAX_TEXT).matchAll(regex)].at(-1)),
    first: (text) => read(text.slice(0, MAX_TEXT).matchAll(regex).next().value),
  }
}
