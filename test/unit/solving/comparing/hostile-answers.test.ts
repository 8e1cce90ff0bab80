import { describe, expect, test } from 'vitest'
import { answerKey } from '../../../../src/solving/comparing/answer-key.ts'
import { threadTime } from '../../../support/thread-time.ts'

const COMPARISONS = ['maths', 'choice', 'json', 'text'] as const
/** Milliseconds of processor time, of the best of five runs, on a machine that is busy. */
const LIMIT_MS = 250

const nest = (open: string, inner: string, close: string, times: number) =>
  open.repeat(times) + inner + close.repeat(times)

const HOSTILE: Readonly<Record<string, string>> = {
  braces: '{'.repeat(100_000),
  'closed braces': '{}'.repeat(50_000),
  brackets: nest('(', '1,2', ')', 50_000),
  'brackets of 1,000 characters': nest('(', '1,2', ')', 490),
  'half-open fractions': '\\frac{'.repeat(20_000),
  'nested fractions': nest('\\frac{1}{', 'x', '}', 10_000),
  'nested fractions of 1,000 characters': nest('\\frac{1}{1+', 'x', '}', 80),
  'nested roots': nest('\\sqrt{', '2', '}', 100),
  'nested texts': nest('\\text{', 'a', '}', 100),
  'huge exponents': '10^{10^{10^{10}}}',
  'a tower': `${'9^'.repeat(300)}9`,
  'huge powers of sums': '(x+y+z+1)^{999999999}',
  'products of sums': '(x+y+z+1)^{12}'.repeat(70),
  'sums of powers': `${'(x+1)^{12}+'.repeat(85)}1`,
  'long fractions': `(x/${'7'.repeat(150)}+1/${'3'.repeat(150)})^{12}`,
  'long roots': `\\sqrt{${'9'.repeat(151)}}+\\sqrt{${'7'.repeat(151)}}`,
  'roots of large primes': `${'\\sqrt{10000000000000000000000000000000000000000000000000039}+'.repeat(17)}1`,
  'powers of roots': '(\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11})^{12}',
  factorials: '60!!!!',
  'a large factorial': '99999999!',
  exponents: '1e999999',
  'plus and minus': `${'\\pm'.repeat(300)}1`,
  'plus and minus inside': nest('(1\\pm ', '1', ')', 100),
  lists: '1,'.repeat(50_000),
  'lists of 500': `${'1,'.repeat(255)}1`,
  digits: '9'.repeat(100_000),
  minuses: `${'-'.repeat(100_000)}1`,
  divisions: `${'1/'.repeat(500)}1`,
  quotes: '"'.repeat(100_000),
  blanks: ' '.repeat(100_000),
  'JSON arrays': nest('[', '1', ']', 50_000),
  'JSON objects': nest('{"a":', '1', '}', 20_000),
  'invisible characters': `${'\u200B\u202E'.repeat(50_000)}5`,
  matrices: '\\begin{pmatrix}'.repeat(60),
}

test.each(Object.keys(HOSTILE))('%s take bounded time, and a key of at most 16,384 characters', (name) => {
  for (const compare of COMPARISONS) {
    const text = HOSTILE[name]!
    const key = answerKey(text, { compare, normalise: ['trim'] })
    expect(key.length, compare).toBeLessThanOrEqual(16_384)
    expect(
      threadTime(() => answerKey(text, { compare, normalise: ['trim'] })),
      compare,
    ).toBeLessThan(LIMIT_MS)
  }
})

describe('what looks like a number', () => {
  const key = (answer: string) => answerKey(answer, { compare: 'maths', normalise: ['trim'] })
  test.each([
    ['-0', '0'],
    ['NaN', 'nan'],
    ['Infinity', 'infinity'],
    ['-Infinity', '-infinity'],
    ['\\infty - \\infty', '\\infty-\\infty'],
    ['0^0', '0^0'],
    ['0/0', '0/0'],
    ['1/(1-1)', '1/(1-1)'],
    ['10^{10^{10}}', '10^10000000000'],
    ['9^{9^9}', '9^387420489'],
    ['1e999999', '10^999999'],
    ['1e-999999', '10^-999999'],
    ['٤٢', '42'],
    ['४२', '42'],
    ['𝟒𝟐', '42'],
    ['\u200F42\u200E', '42'],
    ['4\u200B2', '42'],
    ['\u202E42', '42'],
    ['0x10', '0x10'],
    ['1e', 'e'],
    ['__proto__', 'proto'],
    ['constructor', 'constructor'],
    ['\\constructor', '\\constructor'],
    ['\\toString', '\\tostring'],
  ])('%s is %s', (answer, expected) => {
    expect(key(answer)).toBe(expected)
    expect(key(expected)).toBe(expected)
  })
})

test('random texts of pieces of mathematics have a key that is its own key', () => {
  const pieces =
    '1 2 0.5 1,234 x y \\pi \\frac \\sqrt { } ( ) [ ] \\{ \\} + - * / ^ _ , ; = < \\le % \\text{cm} and or \\pm ! i e ∪ \\infty $ \\cdot \\sin'.split(
      ' ',
    )
  let state = 1
  const next = (below: number) => {
    state = (state * 48_271) % 2_147_483_647
    return state % below
  }
  for (let run = 0; run < 5_000; run++) {
    const text = Array.from({ length: 1 + next(9) }, () => pieces[next(pieces.length)]).join(
      next(2) === 0 ? '' : ' ',
    )
    const key = answerKey(text, { compare: 'maths', normalise: ['trim'] })
    expect(answerKey(key, { compare: 'maths', normalise: ['trim'] }), text).toBe(key)
  }
})
