/** @file The format rules of a profile, as the `format` reward asks them. */

import type { FormatRule } from '#algorithms'
import type { ModelProfile } from '#engine'
import { compilePattern } from './compile-pattern.ts'

/**
 * Rules for one question: an answer can be extracted; it ended by itself (`mustEnd`); the problem it restates is the one
 * asked (`restates`). A question that does not look like a problem of the profile has nothing to restate.
 */
export function createFormatRules({ format }: ModelProfile): (question: string) => readonly FormatRule[] {
  const restates = format.restates && {
    question: compilePattern(format.restates.question, 'format.restates.question'),
    reasoning: compilePattern(format.restates.reasoning, 'format.restates.reasoning'),
  }
  const answers: FormatRule = { name: 'answer', holds: ({ answer }) => answer !== null }
  const ends: FormatRule = { name: 'ends', holds: ({ finish }) => finish === 'eos' }

  return (question) => {
    const rules = format.mustEnd ? [answers, ends] : [answers]
    const asked = withoutSpace(restates?.question.first(question) ?? null)
    if (restates === undefined || asked === null) return rules
    const restated: FormatRule = {
      name: 'restates',
      holds: ({ text }) => withoutSpace(restates.reasoning.first(text)) === asked,
    }
    return [...rules, restated]
  }
}

function withoutSpace(text: string | null): string | null {
  return text?.replace(/\s+/g, '') ?? null
}
