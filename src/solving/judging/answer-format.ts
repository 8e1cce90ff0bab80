/** @file Finds the answer in a text, and reads callers' answers so that equal answers are equal strings. */

import type { ModelProfile, PromptCodec, SplitText } from '#engine'
import { answerKey } from '../comparing/answer-key.ts'
import { compilePattern } from './compile-pattern.ts'
import { findBoxed } from './find-boxed.ts'
import { findJsonAnswer } from './find-json-answer.ts'
import { findNumber } from './find-number.ts'

export interface AnswerFormat {
  /** Returns the normalised answer of a text; null when it has none, or ends inside a thought. */
  extract(text: string): string | null
  /** Splits a text into thought and answer: by the model's tags of thoughts, and by `answer.after`. */
  split(text: string): SplitText
  /**
   * Returns a caller's answer, normalised in the same way; null when nothing is left of it. An answer in the
   * profile's own notation, such as `\boxed{5}`, is read like an answer of the model.
   */
  normalise(answer: string): string | null
}

type Finder = (text: string) => string | null

/** Where the answer of a model stands, and where that of a caller does; a caller's is the whole text if nowhere. */
interface Finders {
  readonly inText: Finder
  readonly inAnswer: Finder
}

const NO_THOUGHTS = { splitThought: (text: string): SplitText => ({ reasoning: text, final: text }) }

/**
 * @param codec of the model; a model without thoughts unless given
 * @throws ServiceError MODEL_INVALID when the profile's pattern is not a regular expression.
 */
export function createAnswerFormat(
  answer: ModelProfile['answer'],
  codec: Pick<PromptCodec, 'splitThought'> = NO_THOUGHTS,
): AnswerFormat {
  const { inText, inAnswer } = findersOf(answer)
  const split = (text: string) => splitAfter(text, codec.splitThought(text), answer.after)
  const normalise = (found: string | null) => (found && answerKey(found, answer)) || null
  return {
    split,
    extract(text) {
      const { final } = split(text)
      return final === null ? null : normalise(inText(final))
    },
    normalise: (text) => normalise(inAnswer(text) ?? text),
  }
}

/** Narrows the answer of a split text to the part after the last `after`, which may be the tag that closed the thought. */
function splitAfter(text: string, own: SplitText, after: string | undefined): SplitText {
  const { reasoning, final } = own
  if (after === undefined || final === null) return own
  const place = final.lastIndexOf(after)
  if (place === -1) {
    return text.slice(0, text.length - final.length).endsWith(after) ? own : { reasoning, final: null }
  }
  const isThought = final.length < text.length
  return {
    reasoning: isThought ? reasoning : text.slice(0, place).trim(),
    final: final.slice(place + after.length),
  }
}

/** Returns the profile's pattern, else its kind; with neither, the whole text is the answer. */
function findersOf(answer: ModelProfile['answer']): Finders {
  const { pattern, kind } = answer
  if (pattern !== undefined) {
    // Only a text that is the notation as a whole: `(\d)` finds 2 in the answer 12.
    const whole = compilePattern(`^\\s*(?:${pattern})\\s*$`, 'answer.pattern')
    return { inText: compilePattern(pattern, 'answer.pattern').last, inAnswer: whole.last }
  }
  const find = kind === undefined ? (text: string) => text : FINDERS[kind](answer)
  return { inText: find, inAnswer: find }
}

const FINDERS: Readonly<
  Record<NonNullable<ModelProfile['answer']['kind']>, (answer: ModelProfile['answer']) => Finder>
> = {
  boxed: () => findBoxed,
  json:
    ({ compare }) =>
    (text) =>
      findJsonAnswer(text, compare === 'json'),
  number:
    ({ compare, normalise }) =>
    (text) =>
      findNumber(text, compare === 'maths' || normalise.includes('percent')),
}
