/** @file `\boxed{...}`, braces balanced, as mathematics is answered in LaTeX. */

const OPENING = '\\boxed{'

/** The content of the last complete `\boxed{}`; null when there is none. */
export function findBoxed(text: string): string | null {
  for (
    let at = text.lastIndexOf(OPENING);
    at !== -1;
    at = at === 0 ? -1 : text.lastIndexOf(OPENING, at - 1)
  ) {
    const start = at + OPENING.length
    const end = closingBrace(text, start)
    if (end !== -1) return text.slice(start, end)
  }
  return null
}

/** Index of the brace that closes one opened before `start`; -1 when none does. */
function closingBrace(text: string, start: number): number {
  let depth = 1
  for (let index = start; index < text.length; index++) {
    if (text[index] === '{') depth += 1
    if (text[index] === '}') depth -= 1
    if (depth === 0) return index
  }
  return -1
}
