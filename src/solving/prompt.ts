/** @file The conversation that a question becomes. Its words belong to the model profile. */

import type { ChatMessage, ModelProfile } from '#engine'
import { fillTemplate } from './fill-template.ts'

/** System turn (left out when the profile's is empty) and user turn. */
export function promptMessages(question: string, { solver }: ModelProfile): ChatMessage[] {
  const user: ChatMessage = { role: 'user', content: fillTemplate(solver.template, { question }) }
  return solver.system === '' ? [user] : [{ role: 'system', content: solver.system }, user]
}
