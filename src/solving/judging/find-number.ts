/** @file Reads numbers as people and models write them: signs, currencies, groups of digits, powers, fractions. */

import { canonicalDecimal, groupsThousands } from './decimal.ts'
import { replaceCommand } from './latex-arguments.ts'
import { plainText, trimEndOf } from './plain-text.ts'

/** Upper bound on the characters, from the end of a text, in which its last number is looked for. */
const MAX_TEXT = 16_384

/** A number in a text, with ASCII digits and sign. */
interface WrittenNumber {
  /** `-1,234.5`, `6.02e23`, `3/4`, `1 1/2` or `2^10`. */
  readonly text: string
  /** First character, sign and currency included. */
  readonly begin: number
  /** Character after the last, percent sign included. */
  readonly end: number
  readonly percent: boolean
  /** Whether the number is a part of a word or of a unit, as in `km2`, `x_1` and `m^2`. */
  readonly attached: boolean
}

/**
 * Returns the last number of a text as it is written there, without currency; null when it has none. A number
 * inside a word or a unit counts only when there is no other.
 */
export function findNumber(text: string, keepPercent = false): string | null {
  let found: WrittenNumber | undefined
  for (const number of writtenNumbers(simplify(text.slice(-MAX_TEXT)).slice(-MAX_TEXT))) {
    if (found === undefined || found.attached || !number.attached) found = number
  }
  if (found === undefined) return null
  return keepPercent && found.percent ? `${found.text}%` : found.text
}

/** A text that is a number as a whole. */
export interface WholeNumber {
  /** In canonical form: `1234.5`, `6.02e23`, `-3/4`, `1 1/2` or `2^10`. */
  readonly text: string
  readonly percent: boolean
}

/** Returns the number that a text is, whatever currency or markup stands around it; null for any other text. */
export function wholeNumber(text: string): WholeNumber | null {
  const written = simplify(unwrap(text.slice(0, MAX_TEXT)), '?').trim()
  for (const number of writtenNumbers(written)) {
    if (number.begin > 0) break
    if (number.end === written.length) return canonical(number)
  }
  return null
}

function canonical({ text, percent }: WrittenNumber): WholeNumber {
  const parts = text.split(/([/ ^])/).map((part) => canonicalDecimal(part) ?? part)
  return { text: parts.join(''), percent }
}

export const VULGAR_FRACTIONS = /[\u00BC-\u00BE\u2150-\u215E\u2189]/g
const SUPERSCRIPT_POWER = /(?<=\d)[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6}/g
const FRACTION = { command: /\\[dt]?frac(?![A-Za-z])/g, count: 2 }
/** Narrow and fixed spaces, and the commas and spaces of LaTeX, between two groups of thousands. */
const GROUP_SEPARATOR = /(?<=\d)(?:\{,\}|\\[,;: ]|~|[\u00A0\u2007-\u2009\u202F])(?=\d{3}(?!\d))/g
export const MINUS_SIGNS = /[\u2010-\u2013\u2212\uFE63]/g

/**
 * Returns the text with other digits, signs and LaTeX replaced by their plain writing.
 *
 * @param unread stands for a fraction of other things than whole numbers
 */
function simplify(text: string, unread = ' '): string {
  const plain = withAsciiDigits(plainText(text))
    .replace(MINUS_SIGNS, '-')
    .replace(VULGAR_FRACTIONS, (fraction) => ` ${fraction.normalize('NFKC')}`)
    .replaceAll('\u2044', '/')
    .replace(SUPERSCRIPT_POWER, (power) => `^${power.normalize('NFKC').replace('\u2212', '-')}`)
    .replaceAll('\\!', '')
    .replace(/\\(?=[$%])/g, '')
    .replace(/\^ ?\{? ?(?:\\circ|°) ?\}?|°/g, '')
    .replace(/\\(?:times|cdot)(?![A-Za-z])/g, '×')
  const fraction = (contents: readonly string[], before: string) => plainFraction(contents, before) ?? unread
  return replaceCommand(plain, FRACTION, fraction).replace(GROUP_SEPARATOR, ',')
}

/** Writes a fraction of whole numbers as 3/4, which behind a digit is the rest of a mixed number; null for others. */
function plainFraction([top = '', bottom = '']: readonly string[], before: string): string | null {
  if (!/^[-+]?\d+$/.test(top) || !/^\d+$/.test(bottom)) return null
  return `${/\d/.test(before) ? ' ' : ''}${top}/${bottom}`
}

/** Returns the text with the decimal digits of every script as 0 to 9, and Arabic separators as `.` and `,`. */
export function withAsciiDigits(text: string): string {
  return text
    .replace(/[^\P{Nd}0-9]/gu, asciiDigit)
    .replaceAll('\u066B', '.')
    .replaceAll('\u066C', ',')
}

const ASCII_DIGITS = new Map<string, string>()

/** Sets of digits hold 0 to 9 in order, and follow other characters or a whole set. */
function asciiDigit(digit: string): string {
  const known = ASCII_DIGITS.get(digit)
  if (known !== undefined) return known
  const codePoint = digit.codePointAt(0) ?? 0
  let before = 0
  while (/\p{Nd}/u.test(String.fromCodePoint(codePoint - before - 1))) before += 1
  const ascii = String(before % 10)
  ASCII_DIGITS.set(digit, ascii)
  return ascii
}

const PAIRS = [
  ['**', '**'],
  ['*', '*'],
  ['`', '`'],
  ['"', '"'],
  ['$', '$'],
  ['\\(', '\\)'],
  ['\\[', '\\]'],
  ['(', ')'],
  ['{', '}'],
] as const
const MAX_PAIRS = 8

/** Returns the text without the markup, brackets and punctuation around it. */
function unwrap(text: string): string {
  let inner = text.trim()
  for (let removed = 0; removed < MAX_PAIRS; removed++) {
    inner = trimEndOf(inner, '., \t\r\n')
    const pair = PAIRS.find(
      ([open, close]) =>
        inner.length > open.length + close.length && inner.startsWith(open) && inner.endsWith(close),
    )
    if (pair === undefined) break
    inner = inner.slice(pair[0].length, -pair[1].length).trim()
  }
  return inner
}

/** Digits with the points and commas between them. */
const DIGITS = /\.?\d[\d.,]*/y
const EXPONENT = /[eE]([-+]?\d{1,6})(?!\w)/y
const TIMES_TEN = / {0,2}[xX*×·] {0,2}10 ?(?:\^|\*\*) ?\{? ?([-+]?\d{1,6}) ?\}?/y
const POWER = / ?(?:\^|\*\*) ?\{? ?([-+]?\d{1,6}) ?\}?/y
const OTHER_POWER = / ?\^/y
const SLASH = / ?\/ ?(?=\.?\d)/y
const PERCENT = / ?%/y

/** Letters of alphabets whose words may hold digits; `是5` is no word. */
const WORD = /[_\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}]/u
const CURRENCY = /\p{Sc}/u

function* writtenNumbers(text: string): Generator<WrittenNumber> {
  const digits = /\.?\d[\d.,]*/g
  let last: WrittenNumber | null = null
  for (let match = digits.exec(text); match !== null; match = digits.exec(text)) {
    const { end, number } = readNumber(text, match.index, match[0], last)
    digits.lastIndex = end
    if (number === null) continue
    yield number
    last = number
  }
}

interface Reading {
  /** Character after all that was read. */
  readonly end: number
  /** null: the digits are no number (a version, a date, a power of something unknown). */
  readonly number: WrittenNumber | null
}

function readNumber(text: string, at: number, run: string, last: WrittenNumber | null): Reading {
  const trimmed = trimEndOf(run, '.,')
  const numeral = lastNumeral(trimmed)
  const value = valueAt(text, at + trimmed.length, numeral)
  if (value.text === null) return { end: Math.max(value.end, at + run.length), number: null }
  // The point of `end.5` ends a sentence or stands in a name; `is .5` and `$.5` are decimals.
  const isPoint = numeral?.startsWith('.') && isWordEnd(text.charAt(at - 1))
  const start = at + trimmed.length - (numeral?.length ?? 0) + (isPoint ? 1 : 0)
  const percent = matchAt(PERCENT, text, value.end)
  const sign = signBefore(text, start)
  const whole = { text: isPoint ? value.text.slice(1) : value.text, begin: start }
  const mixed = sign.negative ? null : mixedNumber(text, whole, last)
  const number = {
    text: mixed ? `${mixed.text} ${whole.text}` : `${sign.negative ? '-' : ''}${whole.text}`,
    begin: mixed?.begin ?? sign.begin,
    end: percent ? percent.end : value.end,
    percent: percent !== null,
    attached: isAttached(text, start),
  }
  return { end: Math.max(number.end, at + run.length), number }
}

/** 1.234,56 and 1.234.567, whose points group thousands. */
const POINT_GROUPS = /^[1-9]\d{0,2}(?:(?:\.\d{3}){2,}|(?:\.\d{3})+,\d+)$/
const OTHER_MARK: Readonly<Record<string, string>> = { '.': ',', ',': '.' }

/**
 * Returns digits with points and commas as a numeral, in which commas group thousands; the last of a list such as
 * `1,2,3`; null for `1.2.3`.
 */
function lastNumeral(run: string): string | null {
  if (POINT_GROUPS.test(run)) return run.replace(/[.,]/g, (mark) => OTHER_MARK[mark] ?? mark)
  const [whole = '', decimals, ...more] = run.split('.')
  if (more.length === 0 && !decimals?.includes(',') && groupsThousands(whole)) return run
  const items = run.split(',')
  const isList = items.every((item) => /^\d+$/.test(item)) || items.every((item) => /^\d*\.\d+$/.test(item))
  return isList ? (items.at(-1) ?? null) : null
}

interface Value {
  readonly text: string | null
  readonly end: number
}

/** Reads what follows a numeral: an exponent, a power, or the denominator of a fraction. */
function valueAt(text: string, end: number, numeral: string | null): Value {
  const ofTen = matchAt(EXPONENT, text, end) ?? matchAt(TIMES_TEN, text, end)
  if (ofTen !== null) return { text: numeral && `${numeral}e${ofTen.group}`, end: ofTen.end }
  const power = matchAt(POWER, text, end)
  if (power !== null) {
    const isTen = numeral === '10'
    return { text: numeral && (isTen ? `1e${power.group}` : `${numeral}^${power.group}`), end: power.end }
  }
  if (matchAt(OTHER_POWER, text, end) !== null) return { text: null, end }
  const slash = matchAt(SLASH, text, end)
  if (slash === null) return { text: numeral, end }
  return fractionAt(text, slash.end, numeral)
}

/** Reads the rest of `3/4`. Three numbers with slashes between them are a date. */
function fractionAt(text: string, at: number, numerator: string | null): Value {
  let end = at
  let denominator: string | null = null
  for (let count = 0; ; count++) {
    const run = matchAt(DIGITS, text, end)
    if (run === null) break
    const digits = trimEndOf(text.slice(end, run.end), '.,')
    denominator = count === 0 ? lastNumeral(digits) : null
    end += digits.length
    const slash = matchAt(SLASH, text, end)
    if (slash === null) break
    end = slash.end
  }
  const isFraction = numerator !== null && denominator !== null
  return { text: isFraction ? `${numerator}/${denominator}` : null, end }
}

/** Returns the whole part of `1 1/2`, which was read before; null when there is none. */
function mixedNumber(
  text: string,
  { text: fraction, begin }: Pick<WrittenNumber, 'text' | 'begin'>,
  last: WrittenNumber | null,
): WrittenNumber | null {
  const [, top, bottom] = /^(\d+)\/(\d+)$/.exec(fraction) ?? []
  if (top === undefined || bottom === undefined || Number(top) >= Number(bottom)) return null
  if (last === null || last.attached || last.percent) return null
  const isBefore = last.end === begin - 1 && text[begin - 1] === ' '
  return isBefore && /^-?\d+$/.test(last.text) ? last : null
}

/** Finds the sign and the currency before a number. A hyphen behind a word, a number or a bracket is no sign. */
function signBefore(text: string, start: number): { readonly negative: boolean; readonly begin: number } {
  let begin = start
  const isCurrency = (at: number) => CURRENCY.test(text.charAt(at))
  if (isCurrency(begin - 1)) begin -= 1
  else if (text[begin - 1] === ' ' && isCurrency(begin - 2)) begin -= 2
  const sign = text.charAt(begin - 1)
  const before = text.charAt(begin - 2)
  if (sign === '+') begin -= 1
  const negative = sign === '-' && !isWordEnd(before) && !/[-\d]/.test(before)
  if (negative) begin -= 1
  // The sign of `-$5` stands before the currency, that of `$-5` behind it.
  if ((negative || sign === '+') && isCurrency(begin - 1)) begin -= 1
  return { negative, begin }
}

function isWordEnd(character: string): boolean {
  return WORD.test(character) || character === ')' || character === ']'
}

function isAttached(text: string, start: number): boolean {
  const before = text.charAt(start - 1)
  return WORD.test(before) || /[\^_](?:\{? ?-?)$/.test(text.slice(Math.max(0, start - 4), start))
}

/** Matches a sticky pattern at one place: its group 1, and the character after the match. */
function matchAt(pattern: RegExp, text: string, at: number): { group: string; end: number } | null {
  pattern.lastIndex = at
  const match = pattern.exec(text)
  return match && { group: match[1] ?? '', end: pattern.lastIndex }
}
