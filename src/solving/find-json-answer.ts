/** @file Answers given as a JSON object, as LatentSeek's second prompt asks for them (arXiv 2505.13308, appendix). */

const KEYS = ['final answer', 'final_answer', 'finalAnswer', 'answer']
/** A text of nothing but closing braces would otherwise cost its square. */
const MAX_CANDIDATES = 64

/** The answer field of the last JSON object in the text; null when no object with one ends it. */
export function findJsonAnswer(text: string): string | null {
  const end = text.lastIndexOf('}')
  let start = end
  for (let tried = 0; tried < MAX_CANDIDATES && start > 0; tried++) {
    start = text.lastIndexOf('{', start - 1)
    if (start === -1) return null
    const answer = readAnswer(text.slice(start, end + 1))
    if (answer !== null) return answer
  }
  return null
}

function readAnswer(json: string): string | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    // Not an object from here on: the caller looks further left.
    return null
  }
  if (typeof parsed !== 'object' || parsed === null) return null
  const fields = Object.entries(parsed)
  for (const key of KEYS) {
    const value: unknown = fields.find(([name]) => name === key)?.[1]
    if (typeof value === 'string') return value
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  }
  return null
}
