/** @file Compiles the format rules of a profile for the `format` reward. */

import type { FormatRule } from '#algorithms'
import type { ModelProfile } from '#engine'
import { compilePattern } from './compile-pattern.ts'

/**
 * Returns the rules for a question: an answer can be extracted; the text ended by itself (`mustEnd`); the problem that it
 * restates is the one that was asked (`restates`). A question that the profile's pattern does not match has no `restates` rule.
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
