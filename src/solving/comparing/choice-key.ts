/** @file The key of an answer that is one of several choices, or some of them: (A), A., "option A" and "A) Paris" are A. */

import { trimEndOf } from '../judging/plain-text.ts'

const CHOICE =
  /^(?:(?:option|choice|answer)[ :]{1,3})?(?:[([]([A-Za-z])[)\]]|([A-Za-z])(?:[.):]|$))(?=\s|[.):]|$)/i
const SEPARATORS = /[,;&]|\band\b/i
const COMMANDS = /\\(?:text|textbf|textit|textrm|mathrm|mathbf|boxed|fbox|left|right)(?![A-Za-z])|\\[ ,;]/g
const MAX_CHOICES = 256

/** Returns the letter of a choice in upper case; null for any other text. */
export function choiceOf(text: string): string | null {
  const plain = trimEndOf(text.replace(/[*`$]|\\text(?=\s?\{)|[{}]/g, '').trim(), '., \t\r\n')
  const [, bracketed, bare] = CHOICE.exec(plain) ?? []
  return (bracketed ?? bare)?.toUpperCase() ?? null
}

/** Returns the letters of one choice (`A`) or of several, in the order of the alphabet (`A,C`); null for other text. */
export function choiceKey(text: string): string | null {
  const plain = text.replace(COMMANDS, ' ').replaceAll('{', '').replaceAll('}', '')
  const items = plain.length > MAX_CHOICES ? [] : plain.split(SEPARATORS).filter((item) => item.trim() !== '')
  const letters = items.map((item) =>
    choiceOf(item.trim()) === letterOf(item) ? choiceOf(item.trim()) : null,
  )
  if (items.length > 1 && !letters.includes(null)) return [...new Set(letters)].sort().join(',')
  return choiceOf(plain)
}

/** Returns the only letter of a text in upper case; null when it has several. */
function letterOf(text: string): string | null {
  const letters = text.match(/\p{L}/gu)
  return letters?.length === 1 ? letters[0].toUpperCase() : null
}
