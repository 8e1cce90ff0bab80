/** @file Exact fractions of bounded size. */

import { canonicalDecimal } from '../judging/decimal.ts'

/** A fraction in lowest terms; the sign is the numerator's. */
export interface Ratio {
  readonly top: bigint
  /** Above 0. */
  readonly bottom: bigint
}

/** Thrown for text that is no mathematics, and for values that would take too long: their key is that of their text. */
export class NotMaths extends Error {}

/** Upper bound on numerator and denominator: about 154 digits. */
const MAX_BITS = 512
const MAX_TERM = 1n << BigInt(MAX_BITS)

export const ZERO: Ratio = { top: 0n, bottom: 1n }
export const ONE: Ratio = { top: 1n, bottom: 1n }
export const HALF: Ratio = { top: 1n, bottom: 2n }

/** @throws NotMaths for the denominator 0, and above 512 bits */
export function ratio(top: bigint, bottom = 1n): Ratio {
  if (bottom === 0n) throw new NotMaths('a division by 0')
  const lowest = lowestTerms(top, bottom)
  if (lowest.top >= MAX_TERM || -lowest.top >= MAX_TERM || lowest.bottom >= MAX_TERM) {
    throw new NotMaths('a number that is too long')
  }
  return lowest
}

/** Returns top / bottom in lowest terms, whatever their size; `bottom` is not 0. */
export function lowestTerms(top: bigint, bottom: bigint): Ratio {
  if (bottom === 1n) return { top, bottom }
  const divisor = greatestDivisor(top < 0n ? -top : top, bottom < 0n ? -bottom : bottom)
  const signed = bottom < 0n ? -divisor : divisor
  return { top: top / signed, bottom: bottom / signed }
}

export function add(a: Ratio, b: Ratio): Ratio {
  return ratio(a.top * b.bottom + b.top * a.bottom, a.bottom * b.bottom)
}

export function multiply(a: Ratio, b: Ratio): Ratio {
  return ratio(a.top * b.top, a.bottom * b.bottom)
}

export function inverse(a: Ratio): Ratio {
  return ratio(a.bottom, a.top)
}

export function negate(a: Ratio): Ratio {
  return { top: -a.top, bottom: a.bottom }
}

export function isWhole(a: Ratio): boolean {
  return a.bottom === 1n
}

export function equals(a: Ratio, b: Ratio): boolean {
  return a.top === b.top && a.bottom === b.bottom
}

export function compare(a: Ratio, b: Ratio): number {
  const difference = a.top * b.bottom - b.top * a.bottom
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** Returns a^n; null when the result has more than 512 bits. Nothing of that size is computed. */
export function power(a: Ratio, n: bigint): Ratio | null {
  if (n < 0n) return power(inverse(a), -n)
  if (a.top === 0n || (isWhole(a) && (a.top === 1n || a.top === -1n))) {
    return n === 0n || (n % 2n === 0n && a.top !== 0n) ? ONE : a
  }
  const bits = Math.max(bitsOf(a.top), bitsOf(a.bottom))
  if (n > BigInt(MAX_BITS) || Number(n) * (bits - 1) > MAX_BITS) return null
  const [top, bottom] = [a.top ** n, a.bottom ** n]
  return bitsOf(top) > MAX_BITS || bitsOf(bottom) > MAX_BITS ? null : { top, bottom }
}

/** Writes a fraction as a decimal that ends (1/2 is 0.5), otherwise in lowest terms. */
export function writeRatio({ top, bottom }: Ratio): string {
  const places = decimalPlaces(bottom)
  if (places === null) return `${top}/${bottom}`
  return canonicalDecimal(`${(top * 10n ** BigInt(places)) / bottom}e${-places}`) ?? `${top}/${bottom}`
}

export function greatestDivisor(a: bigint, b: bigint): bigint {
  let [larger, smaller] = [a, b]
  while (smaller !== 0n) [larger, smaller] = [smaller, larger % smaller]
  return larger
}

function bitsOf(value: bigint): number {
  return (value < 0n ? -value : value).toString(2).length
}

/** Returns the decimal places of 1 / denominator; null when its decimals never end. */
function decimalPlaces(denominator: bigint): number | null {
  let rest = denominator
  let [twos, fives] = [0, 0]
  for (; rest % 2n === 0n; twos++) rest /= 2n
  for (; rest % 5n === 0n; fives++) rest /= 5n
  return rest === 1n ? Math.max(twos, fives) : null
}
