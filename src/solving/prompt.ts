/** @file The conversation that a question becomes. Its words belong to the model profile. */

import type { ChatMessage, Engine, ModelProfile } from '#engine'
import type { TokenSpan } from '#ports'

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

/** Questions that begin and end with different tokens. */
const PROBES = ['1', 'a', '?']

/**
 * Returns a function from a prompt to the place of its question: the tokens that are not those of every prompt of the
 * profile. The tokens of some question that is repeated in the template include what stands between.
 */
export function createQuestionSpan({
  codec,
  model,
}: Pick<Engine, 'codec' | 'model'>): (prompt: readonly number[]) => TokenSpan {
  const probes = PROBES.map((probe) => codec.encodeChat(promptMessages(probe, model.profile)))
  return (prompt) => {
    const common = (place: (tokens: readonly number[], index: number) => number | undefined) =>
      Math.min(
        ...probes.map((probe) => {
          let length = 0
          while (length < prompt.length && place(prompt, length) === place(probe, length)) length += 1
          return length
        }),
      )
    const from = Math.min(
      prompt.length - 1,
      common((tokens, index) => tokens[index]),
    )
    const after = common((tokens, index) => tokens.at(-1 - index))
    return { from, to: Math.max(from + 1, prompt.length - after) }
  }
}
