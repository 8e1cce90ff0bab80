/** @file The conversation that a question becomes. Its words belong to the model profile. */

import type { ChatMessage, ModelProfile } from '#engine'

/** Returns the system turn (left out when the profile's is empty) and the user turn. */
export function promptMessages(question: string, { solver }: ModelProfile): ChatMessage[] {
  const user: ChatMessage = { role: 'user', content: fillTemplate(solver.template, { question }) }
  return solver.system === '' ? [user] : [{ role: 'system', content: solver.system }, user]
}

/** Replaces `{question}` and `{answer}` in one pass, so that a question that contains a placeholder stays as it was written. */
export function fillTemplate(template: string, values: { question: string; answer?: string }): string {
  return template.replace(/\{(question|answer)\}/g, (placeholder, name: 'question' | 'answer') => {
    return values[name] ?? placeholder
  })
}
