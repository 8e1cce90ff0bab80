/** @file The steps of `answer.normalise`: what makes equal answers equal strings. */

import type { ModelProfile } from '#engine'
import { canonicalDecimal } from '../judging/decimal.ts'
import { wholeNumber } from '../judging/find-number.ts'
import { plainText } from '../judging/plain-text.ts'
import { choiceOf } from './choice-key.ts'
import { normaliseLatex } from './normalise-latex.ts'
import { lowestTerms, writeRatio } from './ratio.ts'
import { foldCase } from './text-key.ts'

type Normaliser = ModelProfile['answer']['normalise'][number]

const STEPS: Readonly<Record<Normaliser, (text: string) => string>> = {
  trim: (text) => text.trim(),
  lowercase: foldCase,
  number: normaliseNumber,
  latex: normaliseLatex,
  fraction: normaliseFraction,
  percent: normalisePercent,
  choice: normaliseChoice,
}

/** Runs the steps of a profile in their order, between two passes that make the text plain (`plainText`). */
export function normaliseAnswer(answer: string, steps: readonly Normaliser[]): string {
  return plainText(steps.reduce((text, step) => STEPS[step](text), plainText(answer)))
}

/** "1,234.50" and "$1234.5" are the same answer; text that is no number stays as it is. */
function normaliseNumber(text: string): string {
  return wholeNumber(text)?.text ?? text
}

/** 50% and `50\%` are 0.5; text that is no percentage stays as it is. */
function normalisePercent(text: string): string {
  const number = wholeNumber(text)
  return (number?.percent && shiftPoint(number.text, -2)) || text
}

/** Upper bound on the digits of a fraction's terms. */
const MAX_TERM_DIGITS = 128

/**
 * Fractions and mixed numbers are written as decimals when these end (1/2 is 0.5), otherwise in lowest terms
 * (2/6 is 1/3); text that is neither stays as it is.
 */
function normaliseFraction(text: string): string {
  const number = wholeNumber(text)
  if (number === null) return text
  const match = /^(-?)(?:(\d{1,128}) )?([\d.]{1,128})\/([\d.]{1,128})$/.exec(number.text)
  if (match === null) return number.percent ? text : number.text
  const [, sign, whole = '0', top = '', bottom = ''] = match
  const scale = Math.max(decimalsOf(top), decimalsOf(bottom))
  const [numerator, denominator] = [scaled(top, scale), scaled(bottom, scale)]
  if (denominator === 0n) return text
  const sum = BigInt(whole) * denominator + numerator
  const written = writeRatio(lowestTerms(sum, denominator))
  return `${sum === 0n ? '' : sign}${written}${number.percent ? '%' : ''}`
}

function decimalsOf(decimal: string): number {
  return decimal.split('.')[1]?.length ?? 0
}

function scaled(decimal: string, places: number): bigint {
  const [whole = '', decimals = ''] = decimal.split('.')
  return BigInt(`${whole}${decimals.padEnd(places, '0')}`.slice(0, 2 * MAX_TERM_DIGITS))
}

/** Returns a decimal times a power of ten; null when the text is no decimal. */
function shiftPoint(decimal: string, places: number): string | null {
  const [mantissa = '', exponent = '0'] = decimal.split('e')
  return canonicalDecimal(`${mantissa}e${Number(exponent) + places}`)
}

/** (A), A., [A], "option A" and "A) Paris" are the choice A; other text stays as it is. */
function normaliseChoice(text: string): string {
  return choiceOf(text) ?? text
}
