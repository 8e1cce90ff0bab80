/**
 * @file Expressions as sums of products with exact coefficients: equal expressions of the supported kind have one
 * form, so that they are compared by their writing. Every operation is bounded; nothing is rounded.
 */

import {
  add,
  compare,
  equals,
  greatestDivisor,
  HALF,
  inverse,
  isWhole,
  multiply,
  NotMaths,
  negate,
  ONE,
  power,
  type Ratio,
  ratio,
  writeRatio,
  ZERO,
} from './ratio.ts'

/**
 * Coefficient and factors. A factor is its writing and its exponent: a prime (exponent above 0 and below 1, a
 * root), a name such as `x` or `pi`, a call such as `sin(x)`, a sum `(x+1)`, or a power that is not computed `{2^x}`.
 */
interface Term {
  readonly coefficient: Ratio
  readonly factors: ReadonlyMap<string, Ratio>
}

/** Terms by the writing of their factors. No coefficient is 0. */
export type Sum = ReadonlyMap<string, Term>

/** Upper bounds on the terms of a sum and on the power of a sum that is multiplied out. */
const MAX_TERMS = 32
const MAX_POWER = 12n
/** Upper bound on the primes that are taken out of a root. */
const MAX_PRIME = 1_000n
const MAX_FACTORIAL = 60n

export const INFINITY = 'infinity'

export function constant(value: Ratio): Sum {
  return sumOf([{ coefficient: value, factors: new Map() }])
}

/** Returns a name, a call or a bracket as a sum. */
export function symbol(writing: string): Sum {
  return sumOf([{ coefficient: ONE, factors: new Map([[writing, ONE]]) }])
}

export function addSums(a: Sum, b: Sum): Sum {
  return sumOf([...a.values(), ...b.values()])
}

export function negateSum(a: Sum): Sum {
  return scale(a, negate(ONE))
}

export function multiplySums(a: Sum, b: Sum): Sum {
  const terms: Term[] = []
  for (const one of a.values()) for (const other of b.values()) terms.push(multiplyTerms(one, other))
  return sumOf(terms)
}

/** @throws NotMaths for a division by 0 */
export function divideSums(a: Sum, b: Sum): Sum {
  return multiplySums(a, invert(b))
}

/** Returns the value of a sum without roots and names; null for any other. */
export function ratioOf(a: Sum): Ratio | null {
  if (a.size === 0) return ZERO
  const constants = a.get('')
  return a.size === 1 && constants !== undefined ? constants.coefficient : null
}

/** Whether a sum has no names but those of numbers. */
export function isConstant(a: Sum): boolean {
  return [...a.values()].every(({ factors }) =>
    [...factors.keys()].every((factor) => /^(?:\d+|pi|e|i|infinity|\{[\d^-]+\})$/.test(factor)),
  )
}

/** Whether a sum is one name, such as `x`. */
export function isName(a: Sum): boolean {
  const writing = writeSum(a)
  return /^[A-Za-z]/.test(writing) && a.has(`${writing}^1`) && !writing.includes('(') && !isConstant(a)
}

/** Whether a sum is one call, such as `cos(theta)`. */
export function isCall(a: Sum): boolean {
  const [key, ...more] = a.keys()
  return more.length === 0 && /^[a-z]/.test(key ?? '') && key === `${writeSum(a)}^1`
}

/** @throws NotMaths for 0^0, for a division by 0, and for results beyond the bounds */
export function powerOf(base: Sum, exponent: Sum): Sum {
  const value = ratioOf(exponent)
  if (value === null) return symbol(`{${bracket(base)}^${bracket(exponent)}}`)
  if (isWhole(value)) return wholePower(base, value.top)
  return fractionalPower(base, value)
}

/** Returns n! @throws NotMaths for anything but a whole number from 0 to 60 */
export function factorial(a: Sum): Sum {
  const value = ratioOf(a)
  if (value === null || !isWhole(value) || value.top < 0n || value.top > MAX_FACTORIAL) {
    throw new NotMaths('a factorial of another number')
  }
  let product = 1n
  for (let factor = 2n; factor <= value.top; factor++) product *= factor
  return constant(ratio(product))
}

/** Scales an equation's sum to whole coefficients without a common divisor; `signed`: the first one above 0. */
export function primitive(a: Sum, signed: boolean): Sum {
  if (a.size === 0) return a
  const content = contentOf(a)
  const first = ordered(a)[0]
  const flips = signed && first !== undefined && first.coefficient.top < 0n
  return scale(a, inverse(flips ? negate(content) : content))
}

/** Writes a sum so that reading it again gives the same sum. */
export function writeSum(a: Sum): string {
  if (a.size === 0) return '0'
  return ordered(a).map(writeTerm).join('+').replaceAll('+-', '-')
}

function sumOf(terms: readonly Term[]): Sum {
  const sum = new Map<string, Term>()
  for (const { coefficient, factors } of terms) {
    const key = [...factors]
      .map(([factor, exponent]) => `${factor}^${writeRatio(exponent)}`)
      .sort()
      .join('*')
    const total = add(sum.get(key)?.coefficient ?? ZERO, coefficient)
    if (total.top === 0n) sum.delete(key)
    else sum.set(key, { coefficient: total, factors })
    if (sum.size > MAX_TERMS) throw new NotMaths('a sum of too many terms')
  }
  return sum
}

function scale(a: Sum, by: Ratio): Sum {
  return sumOf(
    [...a.values()].map(({ coefficient, factors }) => ({ coefficient: multiply(coefficient, by), factors })),
  )
}

function multiplyTerms(a: Term, b: Term): Term {
  let coefficient = multiply(a.coefficient, b.coefficient)
  const factors = new Map(a.factors)
  for (const [factor, exponent] of b.factors) {
    const total = add(factors.get(factor) ?? ZERO, exponent)
    coefficient = multiply(coefficient, setFactor(factors, factor, total))
  }
  return { coefficient, factors }
}

/** Sets a factor, and returns the part of it that is a coefficient: whole powers of a prime, i^2 = -1. */
function setFactor(factors: Map<string, Ratio>, factor: string, exponent: Ratio): Ratio {
  factors.delete(factor)
  if (factor === 'i' && isWhole(exponent)) {
    const turns = ((exponent.top % 4n) + 4n) % 4n
    if (turns % 2n === 1n) factors.set(factor, ONE)
    return turns < 2n ? ONE : negate(ONE)
  }
  if (!/^\d/.test(factor)) {
    if (exponent.top !== 0n) factors.set(factor, exponent)
    return ONE
  }
  const whole = floor(exponent)
  const rest = add(exponent, ratio(-whole))
  if (rest.top !== 0n) factors.set(factor, rest)
  return boundedPower(ratio(BigInt(factor)), whole)
}

function floor({ top, bottom }: Ratio): bigint {
  return top < 0n ? -((-top + bottom - 1n) / bottom) : top / bottom
}

function boundedPower(base: Ratio, exponent: bigint): Ratio {
  const result = power(base, exponent)
  if (result === null) throw new NotMaths('a number that is too long')
  return result
}

function wholePower(base: Sum, exponent: bigint): Sum {
  if (exponent === 0n && base.size === 0) throw new NotMaths('0^0')
  if (exponent === 0n) return constant(ONE)
  const [term, ...more] = base.values()
  if (term !== undefined && more.length === 0) {
    return termPower(term, ratio(exponent)) ?? symbol(`{${bracket(base)}^${exponent}}`)
  }
  if (exponent < 0n) return wholePower(invert(base), -exponent)
  if (term === undefined) return base
  if (exponent > MAX_POWER)
    return sumOf([{ coefficient: ONE, factors: new Map([[bracket(base), ratio(exponent)]]) }])
  let result = base
  for (let n = 1n; n < exponent; n++) result = multiplySums(result, base)
  return result
}

/** Returns a term to a whole power; null when its coefficient becomes too long. */
function termPower({ coefficient, factors }: Term, exponent: Ratio): Sum | null {
  let total = power(coefficient, exponent.top)
  if (total === null) return null
  const raised = new Map<string, Ratio>()
  for (const [factor, own] of factors) {
    total = multiply(total, setFactor(raised, factor, multiply(own, exponent)))
  }
  return sumOf([{ coefficient: total, factors: raised }])
}

/** Returns 1 / a: a sum of two roots is made rational, another sum keeps its writing. */
function invert(a: Sum): Sum {
  const [first, second, ...more] = a.values()
  if (first === undefined) throw new NotMaths('a division by 0')
  if (second === undefined) return termPower(first, negate(ONE)) ?? symbol(`{${bracket(a)}^-1}`)
  if (more.length === 0) {
    const conjugate = addSums(sumOf([first]), negateSum(sumOf([second])))
    const norm = ratioOf(multiplySums(a, conjugate))
    if (norm !== null && norm.top !== 0n) return scale(conjugate, inverse(norm))
  }
  const whole = primitive(a, true)
  const [key, term] = [...a][0]!
  const factor = multiply(term.coefficient, inverse(whole.get(key)!.coefficient))
  return sumOf([{ coefficient: inverse(factor), factors: new Map([[bracket(whole), negate(ONE)]]) }])
}

function fractionalPower(base: Sum, exponent: Ratio): Sum {
  if (base.size === 0) return base
  const content = contentOf(base)
  const rest = scale(base, inverse(content))
  const root = rootOf(content, exponent)
  const [term, ...more] = rest.values()
  if (term === undefined) return base
  if (more.length > 0 || !isSafeRoot(term, exponent)) {
    return multiplySums(root, sumOf([{ coefficient: ONE, factors: new Map([[bracket(rest), exponent]]) }]))
  }
  const raised = new Map<string, Ratio>()
  let coefficient = ONE
  for (const [factor, own] of term.factors) {
    coefficient = multiply(coefficient, setFactor(raised, factor, multiply(own, exponent)))
  }
  const sign = term.coefficient.top < 0n ? rootOfMinusOne(exponent) : constant(ONE)
  return multiplySums(multiplySums(root, sign), sumOf([{ coefficient, factors: raised }]))
}

/** Whether (a b)^r may be written as a^r b^r: not for even powers of a name, whose root is an absolute value. */
function isSafeRoot({ coefficient, factors }: Term, exponent: Ratio): boolean {
  const isEvenRoot = exponent.bottom % 2n === 0n
  if (coefficient.top < 0n && isEvenRoot && exponent.bottom !== 2n) return false
  if (coefficient.top < 0n && isEvenRoot && factors.size > 0) return false
  return (
    !isEvenRoot ||
    [...factors].every(([factor, own]) => /^\d/.test(factor) || (own.top % 2n !== 0n && factor !== 'i'))
  )
}

function rootOfMinusOne(exponent: Ratio): Sum {
  if (exponent.bottom === 2n) return wholePower(symbol('i'), exponent.top)
  return constant(exponent.top % 2n === 0n ? ONE : negate(ONE))
}

/** Returns q^(p/k) for q above 0, with every whole power of a small prime taken out of the root. */
function rootOf(q: Ratio, exponent: Ratio): Sum {
  const term: { coefficient: Ratio; factors: Map<string, Ratio> } = { coefficient: ONE, factors: new Map() }
  for (const [value, sign] of [
    [q.top, 1n],
    [q.bottom, -1n],
  ] as const) {
    for (const [prime, count] of primesOf(value)) {
      const total = add(term.factors.get(String(prime)) ?? ZERO, multiply(ratio(sign * count), exponent))
      term.coefficient = multiply(term.coefficient, setFactor(term.factors, String(prime), total))
    }
  }
  return sumOf([term])
}

/** Returns the primes up to 1,000 of a number and their counts; the rest of it counts as a prime, or as its square. */
function primesOf(value: bigint): Map<bigint, bigint> {
  const primes = new Map<bigint, bigint>()
  let rest = value
  for (let prime = 2n; prime <= MAX_PRIME && prime * prime <= rest; prime++) {
    for (; rest % prime === 0n; rest /= prime) primes.set(prime, (primes.get(prime) ?? 0n) + 1n)
  }
  if (rest === 1n) return primes
  const root = BigInt(Math.round(Math.sqrt(Number(rest))))
  if (root * root === rest) primes.set(root, 2n)
  else primes.set(rest, (primes.get(rest) ?? 0n) + 1n)
  return primes
}

/** Returns the greatest ratio by which all coefficients are whole multiples. */
function contentOf(a: Sum): Ratio {
  let [top, bottom] = [0n, 1n]
  for (const { coefficient } of a.values()) {
    top = greatestDivisor(top, coefficient.top < 0n ? -coefficient.top : coefficient.top)
    bottom = (bottom / greatestDivisor(bottom, coefficient.bottom)) * coefficient.bottom
  }
  return ratio(top, bottom)
}

/** Returns the terms with the highest degree first, constants last. */
function ordered(a: Sum): readonly Term[] {
  const degree = ({ factors }: Term) =>
    [...factors].reduce((sum, [factor, exponent]) => (/^\d/.test(factor) ? sum : add(sum, exponent)), ZERO)
  return [...a]
    .map(([key, term]) => ({ key, term, degree: degree(term) }))
    .sort(
      (one, other) =>
        compare(other.degree, one.degree) ||
        (one.key === '' ? 1 : other.key === '' ? -1 : one.key < other.key ? -1 : 1),
    )
    .map(({ term }) => term)
}

function writeTerm({ coefficient, factors }: Term): string {
  if (factors.size === 0) return writeRatio(coefficient)
  const above: string[] = []
  const below: string[] = []
  const roots = new Map<string, { product: bigint; exponent: Ratio }>()
  for (const [factor, exponent] of [...factors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (/^\d/.test(factor)) {
      const key = writeRatio(exponent)
      roots.set(key, { product: (roots.get(key)?.product ?? 1n) * BigInt(factor), exponent })
    } else if (exponent.top < 0n) below.push(writePower(factor, negate(exponent)))
    else above.push(writePower(factor, exponent))
  }
  for (const { product, exponent } of roots.values()) above.unshift(writePower(String(product), exponent))
  const { top, bottom } = coefficient
  const size = top < 0n ? -top : top
  if (size !== 1n || above.length === 0) above.unshift(String(size))
  if (bottom !== 1n) below.unshift(String(bottom))
  const denominator = below.length > 1 ? `(${below.join('*')})` : (below[0] ?? '')
  return `${top < 0n ? '-' : ''}${above.join('*')}${denominator && `/${denominator}`}`
}

function writePower(base: string, exponent: Ratio): string {
  if (base.startsWith('{')) {
    return equals(exponent, ONE) ? base.slice(1, -1) : writePower(`(${base.slice(1, -1)})`, exponent)
  }
  if (equals(exponent, ONE)) return base
  if (equals(exponent, HALF)) return `sqrt${base.startsWith('(') ? base : `(${base})`}`
  return isWhole(exponent) ? `${base}^${exponent.top}` : `${base}^(${exponent.top}/${exponent.bottom})`
}

/** Writes a sum as a factor: in brackets unless it is one number or one name. */
function bracket(a: Sum): string {
  const writing = writeSum(a)
  return /^(?:\d+|[A-Za-z]\w*)$/.test(writing) ? writing : `(${writing})`
}
