/**
 * @file Our comparison of answers beside math-verify's, on pairs made by test/fixtures/answers/generate.py. Every
 * difference is listed with its reason.
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ANSWER_RULES } from '../../../../src/engine/profile.ts'
import { answerKey } from '../../../../src/solving/comparing/answer-key.ts'

interface Pair {
  readonly kind: string
  readonly one: string
  readonly other: string
  readonly same: boolean
}

const file = new URL('../../../fixtures/golden/math-verify.json', import.meta.url)
const { grader, pairs }: { grader: string; pairs: Pair[] } = JSON.parse(readFileSync(file, 'utf8'))

/** Pairs that are the same for us and not for math-verify, by reason. */
const MORE_GENEROUS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'it compares a number inside a text as a text': [['1234.0', '\\text{1234}']],
  'it does not read thousands that LaTeX separates with a small space': [
    ['1000000', '1\\,000\\,000'],
    ['1,000,000', '1\\,000\\,000'],
    ['10^6', '1\\,000\\,000'],
  ],
  'it reads the commas and points of the other convention as a list or as multiplication': [
    ['1.234,56', '1,234.56'],
    ['1.234,56', '1234.56'],
    ['1.234.567', '1,234,567'],
    ['1.234.567', '1234567'],
    ['12.345,6', '12345.6'],
    ['1{,}5', '1.5'],
  ],
  'it compares large decimals as floating-point numbers': [
    ['6.02\\times 10^{23}', '602\\times 10^{21}'],
    ['6.02 \\cdot 10^{23}', '602\\times 10^{21}'],
  ],
  'it compares two equations with different names on the left as equations': [
    ['y=2x+1', 'f(x)=2x+1'],
    ['P = \\frac{3}{5}', '\\cos\\theta=\\frac35'],
    ['n=11', 'k=11'],
  ],
  'it does not read \\varnothing': [
    ['\\emptyset', '\\varnothing'],
    ['\\varnothing', '\\{\\}'],
  ],
  'it reads only LaTeX: not mixed numbers in plain text, e notation, words, Unicode, or markup': [
    ['1 1/2', '1.5'],
    ['6.02e23', '6.02\\times 10^{23}'],
    ['1e3', '1000'],
    ['5 million', '5,000,000'],
    ['½', '0.5'],
    ['√2', '\\sqrt2'],
    ['x²', 'x^2'],
    ['**12**', '12'],
    ['at least 5', 'At least 5.'],
  ],
  'it does not read the euro': [
    ['5', '€5'],
    ['5 cm', '€5'],
    ['5 apples', '€5'],
  ],
  'it compares punctuation of texts': [
    ['\\text{Yes}', 'Yes.'],
    ['yes', 'Yes.'],
  ],
}

/** Pairs that are the same for math-verify and not for us, by reason. */
const STRICTER: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'letters alone are a word for us: xy is not yx': [
    ['xy', 'yx'],
    ['xy', 'x\\cdot y'],
    ['yx', 'x\\cdot y'],
  ],
  'we divide no polynomials': [['\\frac{x^2-1}{x-1}', 'x+1']],
  'we compute no values of functions': [
    ['\\log_2 8', '3'],
    ['\\sin\\frac{\\pi}{6}', '\\frac12'],
    ['\\ln e', '1'],
  ],
  'it rounds to six digits; a rounding comparison is not transitive': [
    ['\\frac13', '0.333333'],
    ['\\sqrt2', '1.414214'],
  ],
  'it takes 50% for .5 and for 50, which is not transitive': [['50\\%', '50']],
  'a ratio is a text for us': [['3:4', '\\frac34']],
  'it drops the base of a number': [['1010_2', '1010']],
  'it reads a date as a subtraction': [['2024-01-31', '1992']],
}

const nameOf = (one: string, other: string) => `${one} and ${other}`
const namesOf = (reasons: typeof STRICTER) =>
  Object.values(reasons).flatMap((listed) => listed.map(([one, other]) => nameOf(one, other)))
const key = (answer: string) => answerKey(answer, { compare: 'maths', normalise: ['trim'] })
const isSame = ({ one, other }: Pair) => key(one) === key(other)

test('math-verify judged at least 300 pairs, a third of them or more the same', () => {
  expect(grader).toBe('math-verify 0.9.0')
  expect(pairs.length).toBeGreaterThanOrEqual(300)
  expect(pairs.filter(({ same }) => same).length).toBeGreaterThan(pairs.length / 3)
})

test('every pair that we call the same and math-verify does not is listed', () => {
  const found = pairs.filter((pair) => isSame(pair) && !pair.same)
  expect(found.map(({ one, other }) => nameOf(one, other)).sort()).toEqual(namesOf(MORE_GENEROUS).sort())
})

test('every pair that math-verify calls the same and we do not is listed', () => {
  const found = pairs.filter((pair) => !isSame(pair) && pair.same)
  expect(found.map(({ one, other }) => nameOf(one, other)).sort()).toEqual(namesOf(STRICTER).sort())
})

test('the keys of all answers are those of this ANSWER_RULES: a change raises it, for stored answers have old keys', () => {
  const keys = pairs.flatMap(({ one, other }) => [key(one), key(other)])
  const digest = createHash('sha256').update(JSON.stringify(keys)).digest('hex').slice(0, 16)
  expect({ [ANSWER_RULES]: digest }).toMatchInlineSnapshot(`
    {
      "1": "cd2d402a39c9ae39",
    }
  `)
})
