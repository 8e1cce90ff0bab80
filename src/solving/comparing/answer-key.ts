/**
 * @file The one place that decides whether two answers are the same: they are when their keys are equal strings.
 * Votes, labels, references and evaluations compare keys, in memory and in SQL. So "the same" is transitive.
 */

import type { ModelProfile } from '#engine'
import { plainText } from '../judging/plain-text.ts'
import { choiceKey } from './choice-key.ts'
import { jsonKey } from './json-key.ts'
import { mathsKey, withoutMarkup } from './maths-key.ts'
import { normaliseLatex } from './normalise-latex.ts'
import { normaliseAnswer } from './normalise-steps.ts'
import { foldCase, textKey } from './text-key.ts'

type Comparison = NonNullable<ModelProfile['answer']['compare']>

/** Upper bound on the characters of a key, and on those that are read of an answer. */
const MAX_ANSWER = 16_384

const KEYS: Readonly<Record<Comparison, (text: string) => string>> = {
  maths: settledMaths,
  choice: (text) => choiceKey(text) ?? textKey(text),
  json: (text) => jsonKey(text) ?? text.trim(),
  text: textKey,
}

/** Upper bound on the readings of an answer. */
const MAX_READINGS = 5

/** Reads an answer until reading its key changes nothing: brackets that are left of 1/(1/(x+1)) are multiplied out. */
function settledMaths(text: string): string {
  let key = mathsOrText(text)
  for (let reading = 1; reading < MAX_READINGS; reading++) {
    const next = mathsOrText(key)
    if (next === key) break
    key = next
  }
  return key
}

/** Returns the key as mathematics, else as text. In a text with digits, brackets and exclamation marks keep their meaning. */
function mathsOrText(answer: string): string {
  // The dots of 0.333... are no full stops.
  const text = answer.replaceAll('...', '…')
  const key = mathsKey(text)
  if (key !== null) return key
  const plain = /[\\${]/.test(text) ? withoutLatex(text) : text
  return /\d/.test(plain) ? foldCase(withoutMarkup(plain)).replace(/\s+/g, ' ') : textKey(plain)
}

/** Returns the text of LaTeX; between words and numbers, a blank stays. */
function withoutLatex(text: string): string {
  const plain = normaliseLatex(text)
  return plain.includes('\\') ? plain : plain.replace(/(?<=[A-Za-z]{2})(?=\d)|(?<=\d)(?=[A-Za-z]{2})/g, ' ')
}

/**
 * Returns the key of an answer: by the profile's `compare`, else by the steps of `normalise`. The key of a key is
 * the key, so stored answers may be read again. An answer of more than 16,384 characters is known by these alone.
 */
export function answerKey(
  answer: string,
  { compare, normalise }: Pick<ModelProfile['answer'], 'compare' | 'normalise'>,
): string {
  if (compare === undefined) return normaliseAnswer(answer, normalise)
  return plainText(KEYS[compare](plainText(answer.slice(0, MAX_ANSWER))))
}
