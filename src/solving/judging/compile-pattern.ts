/** @file Compiles the regular expressions of a profile, which run on bounded text only. */

import { ServiceError } from '#errors'

/** Upper bound on the characters that a pattern is run on: the time of a pattern may grow faster than its text. */
const MAX_TEXT = 16_384

export interface Pattern {
  /** Group 1 (the whole match when there is no group) of the last match in the last 16,384 characters. */
  last(text: string): string | null
  /** Group 1 (the whole match when there is no group) of the first match in the first 16,384 characters. */
  first(text: string): string | null
}

/** @throws ServiceError MODEL_INVALID when `source` is not a regular expression. */
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
