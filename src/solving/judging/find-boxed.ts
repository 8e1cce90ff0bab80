/** @file Finds the content of the last `\boxed{}` of a text. */

import { plainText, trimEndOf } from './plain-text.ts'

/** A box command; a letter behind it would make it another command. */
const BOX = /\\(?:boxed|fbox)(?![A-Za-z])[ \t\r\n]{0,8}/y
/** Upper bound on the characters of a box without braces. */
const MAX_BARE = 256
/** Characters that end a box without braces, when no brace is open in it. */
const BARE_END = /\s|\$|\\[)\]]|\\(?:boxed|fbox)/y

interface Box {
  readonly start: number
  readonly end: number
}

/**
 * Returns the content of the box that opens last among those that are closed and hold more than white space;
 * null without one. Boxes are `\boxed{}` and `\fbox{}`, also with a blank before the brace or without braces
 * (`\boxed 5`). Braces are balanced; escaped braces do not count. One pass.
 */
export function findBoxed(text: string): string | null {
  const plain = plainText(text)
  const open: { start: number; boxed: boolean }[] = []
  let found: Box | null = null
  const offer = (box: Box) => {
    if (box.start >= (found?.start ?? 0) && hasContent(plain, box)) found = box
  }
  for (let index = 0; index < plain.length; index++) {
    const character = plain[index]
    if (character === '\\') {
      const after = boxEnd(plain, index)
      if (after === null) {
        index += escapes(plain, index) ? 1 : 0
      } else if (plain[after] === '{') {
        open.push({ start: after + 1, boxed: true })
        index = after
      } else {
        offer(bareBox(plain, after))
        index = after - 1
      }
    } else if (character === '{') {
      open.push({ start: index + 1, boxed: false })
    } else if (character === '}') {
      const closed = open.pop()
      if (closed?.boxed) offer({ start: closed.start, end: index })
    }
  }
  return sliceOf(plain, found)
}

function sliceOf(text: string, box: Box | null): string | null {
  return box && text.slice(box.start, box.end)
}

/** Returns the position after the box command that begins at `at` and its white space; null when none begins there. */
function boxEnd(text: string, at: number): number | null {
  BOX.lastIndex = at
  return BOX.test(text) ? BOX.lastIndex : null
}

/** Whether the backslash here takes the next character's meaning; `\\boxed` is a box all the same. */
function escapes(text: string, at: number): boolean {
  const next = text.charAt(at + 1)
  return next === '{' || next === '}' || (next === '\\' && boxEnd(text, at + 1) === null)
}

function hasContent(text: string, { start, end }: Box): boolean {
  for (let index = start; index < end; index++) if (!/\s/.test(text.charAt(index))) return true
  return false
}

/** Reads a box without braces: up to white space or the end of the formula, without closing punctuation. */
function bareBox(text: string, start: number): Box {
  const limit = Math.min(text.length, start + MAX_BARE)
  let depth = 0
  let end = start
  for (; end < limit; end++) {
    if (text[end] === '{') depth += 1
    if (text[end] === '}') depth -= 1
    if (depth < 0) break
    BARE_END.lastIndex = end
    if (depth === 0 && BARE_END.test(text)) break
  }
  return { start, end: start + trimEndOf(text.slice(start, end), '.,;:!?').length }
}
