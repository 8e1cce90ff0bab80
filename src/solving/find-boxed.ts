/** @file `\boxed{...}`, braces balanced, as mathematics is answered in LaTeX. */

const OPENING = '\\boxed{'

/** The content of the `\boxed{}` that opens last among those that are closed; null when there is none. One pass. */
export function findBoxed(text: string): string | null {
  const open: { start: number; boxed: boolean }[] = []
  let found: { start: number; end: number } | null = null
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '{') {
      const start = index + 1
      open.push({ start, boxed: text.endsWith(OPENING, start) })
    }
    if (text[index] !== '}') continue
    const closed = open.pop()
    if (closed?.boxed && closed.start > (found?.start ?? -1)) found = { start: closed.start, end: index }
  }
  return found && text.slice(found.start, found.end)
}
