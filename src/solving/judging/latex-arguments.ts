/** @file Replaces LaTeX commands together with their arguments, in one pass. */

/** Upper bound on the characters of one argument. */
const MAX_ARGUMENT = 1024

export interface LatexArgument {
  readonly content: string
  /** Character after the argument. */
  readonly end: number
}

/**
 * Returns the argument that a command takes at a place, behind at most one blank: what stands in braces, or
 * one letter or digit; null when there is none.
 */
export function readArgument(text: string, at: number): LatexArgument | null {
  const start = text[at] === ' ' ? at + 1 : at
  if (/[0-9A-Za-z]/.test(text.charAt(start))) return { content: text.charAt(start), end: start + 1 }
  if (text[start] !== '{') return null
  const close = closingBrace(text, start + 1, Math.min(text.length, start + MAX_ARGUMENT))
  return close === -1 ? null : { content: text.slice(start + 1, close).trim(), end: close + 1 }
}

/** Returns the place of the brace that closes one opened before `from`; -1 when there is none before `limit`. */
export function closingBrace(text: string, from: number, limit = text.length): number {
  let depth = 1
  for (let index = from; index < limit; index++) {
    if (text[index] === '\\') index += 1
    else if (text[index] === '{') depth += 1
    else if (text[index] === '}') depth -= 1
    if (depth === 0) return index
  }
  return -1
}

/**
 * Replaces each match of a global pattern, followed by `count` arguments, by what `write` makes of the
 * arguments. A command that lacks an argument stays, and so does one inside an argument.
 */
export function replaceCommand(
  text: string,
  { command, count }: { readonly command: RegExp; readonly count: number },
  write: (contents: readonly string[], before: string) => string,
): string {
  const parts: string[] = []
  let written = 0
  for (const { 0: name, index } of text.matchAll(command)) {
    if (index < written) continue
    const contents: string[] = []
    let end = index + name.length
    for (let found = readArgument(text, end); found !== null && contents.length < count; ) {
      contents.push(found.content)
      end = found.end
      found = readArgument(text, end)
    }
    if (contents.length < count) continue
    parts.push(text.slice(written, index), write(contents, text.charAt(index - 1)))
    written = end
  }
  return parts.join('') + text.slice(written)
}
