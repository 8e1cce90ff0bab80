/** @file The texts of a profile around every question: its templates, and the turns before it. */

import type { ModelProfile } from './profile.ts'
import type { ChatMessage } from './types.ts'

/** Returns the worked examples of a profile as turns: each question in the profile's words, then its answer. */
export function exampleTurns({ template, examples = [] }: ModelProfile['solver']): ChatMessage[] {
  return examples.flatMap(({ question, answer }) => [
    { role: 'user', content: fillTemplate(template, { question }) } as const,
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

/** Replaces `{question}` and `{answer}` in one pass, so that a question that contains a placeholder stays as it was written. */
export function fillTemplate(template: string, values: { question: string; answer?: string }): string {
  return template.replace(/\{(question|answer)\}/g, (placeholder, name: 'question' | 'answer') => {
    return values[name] ?? placeholder
  })
}
