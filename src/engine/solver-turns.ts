/** @file The turns that a profile puts before every question. */

import type { ModelProfile } from './profile.ts'
import type { ChatMessage } from './types.ts'

/** Returns the worked examples of a profile as turns: each question in the profile's words, then its answer. */
export function exampleTurns({ template, examples = [] }: ModelProfile['solver']): ChatMessage[] {
  return examples.flatMap(({ question, answer }) => [
    { role: 'user', content: template.replaceAll('{question}', () => question) } as const,
    { role: 'assistant', content: answer } as const,
  ])
}

/** Returns the turns of a prompt whose question is the placeholder itself, for checks of the chat template. */
export function templateTurns(solver: ModelProfile['solver']): ChatMessage[] {
  const { system, template } = solver
  return [
    ...(system === '' ? [] : [{ role: 'system', content: system } as const]),
    ...exampleTurns(solver),
    { role: 'user', content: template },
  ]
}
