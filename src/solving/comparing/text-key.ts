/** @file The key of an answer that is text: case, white space, quotation marks and punctuation around words do not matter. */

import { plainText } from '../judging/plain-text.ts'

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }
const OPENING: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' }
const DASHES = /[\u2010-\u2015\u2212]/g
const SINGLE_QUOTES = /[\u2018\u2019\u201B\u2032]/g
const DOUBLE_QUOTES = /[\u201C-\u201F\u00AB\u00BB\u2033]/g
const PUNCTUATION = '.,;:!?"\'*`_…¡¿$'

/**
 * Returns a text in lower case, with single blanks, without punctuation and unpaired brackets around its words.
 * Signs inside a word stay: 3.5, 10:30, well-known, f(x), C++. A text of punctuation alone stays as it is.
 */
export function textKey(text: string): string {
  const folded = foldCase(plainText(text))
    .replace(DASHES, '-')
    .replace(SINGLE_QUOTES, "'")
    .replace(DOUBLE_QUOTES, '"')
  const words = folded
    .split(/\s+/)
    .map(withoutPunctuation)
    .filter((word) => word !== '')
  return words.length > 0 ? words.join(' ') : folded.trim()
}

/** Lower case in which `ß` equals `SS` and `İ` equals `I`, whose plain lower case differs. */
export function foldCase(text: string): string {
  return text.toLowerCase().replaceAll('ß', 'ss').replaceAll('i\u0307', 'i')
}

function withoutPunctuation(word: string): string {
  let [start, end] = [0, word.length]
  const depths = bracketDepths(word)
  for (let isChanged = true; isChanged && start < end; ) {
    const [first, last] = [word.charAt(start), word.charAt(end - 1)]
    const isPoint = first === '.' && /\d/.test(word.charAt(start + 1))
    const isPair = CLOSING[first] === last && depths.partner.get(start) === end - 1
    isChanged = true
    if (isPair) [start, end] = [start + 1, end - 1]
    else if ((PUNCTUATION.includes(first) && !isPoint) || (first in CLOSING && !depths.partner.has(start)))
      start += 1
    else if (PUNCTUATION.includes(last) || (last in OPENING && !depths.closed.has(end - 1))) end -= 1
    else isChanged = false
  }
  return word.slice(start, end)
}

/** Returns the partner of each opening bracket, and the closing brackets that have one. */
function bracketDepths(word: string): { partner: Map<number, number>; closed: Set<number> } {
  const partner = new Map<number, number>()
  const closed = new Set<number>()
  const open: number[] = []
  for (let at = 0; at < word.length; at++) {
    const character = word.charAt(at)
    if (character in CLOSING) open.push(at)
    else if (character in OPENING && word.charAt(open.at(-1) ?? -1) === OPENING[character]) {
      partner.set(open.pop()!, at)
      closed.add(at)
    }
  }
  return { partner, closed }
}
