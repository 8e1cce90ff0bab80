/** @file Placeholders of the profile's prompts. */

/** Replaces `{question}` and `{answer}` in one pass, so that a question that spells a placeholder stays as it was written. */
export function fillTemplate(template: string, values: { question: string; answer?: string }): string {
  return template.replace(/\{(question|answer)\}/g, (placeholder, name: 'question' | 'answer') => {
    return values[name] ?? placeholder
  })
}
