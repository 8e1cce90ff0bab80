/** @file Cuts texts of callers before they are logged or repeated in an answer. */

const MAX_CHARACTERS = 512

/** Returns the first 512 characters of the text, with a mark if there were more. */
export function shorten(text: string): string {
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text
}
