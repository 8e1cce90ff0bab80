import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { answerKey } from '../../../../src/solving/comparing/answer-key.ts'
import { createAnswerFormat } from '../../../../src/solving/judging/answer-format.ts'

type Comparison = 'maths' | 'choice' | 'json' | 'text'

const key = (compare: Comparison, answer: string) => answerKey(answer, { compare, normalise: ['trim'] })

/** By kind: a key, and the answers that have it. No two rows of a kind have the same key. */
const SAME: Readonly<Record<Comparison, readonly (readonly [string, ...string[]])[]>> = {
  maths: [
    // Numbers and their separators.
    ['0', '-0', '0.00', '-0.0', '+0'],
    [
      '7',
      '007',
      '7.',
      '7.0',
      '+7',
      '**7**',
      '`7`',
      '"7"',
      '$7$',
      '\\(7\\)',
      '{7}',
      '\\boxed{\\boxed{7}}',
      '٧',
      '７',
    ],
    [
      '0.5',
      '.5',
      '0.50',
      '1/2',
      '\\frac12',
      '\\dfrac{1}{2}',
      '\\tfrac{2}{4}',
      '½',
      '5e-1',
      '50%',
      '50\\%',
      '50 percent',
    ],
    ['-3', '−3', '–3', '-\\frac{6}{2}', '\\frac{-6}{2}', '\\frac{6}{-2}', '(-3)'],
    [
      '1234.5',
      '1,234.5',
      '1.234,5',
      '1{,}234.5',
      '1 234.5',
      '$1,234.50',
      '€1.234,50',
      "1'234.5",
      '1\u202F234.5',
    ],
    ['1234567', '1,234,567', '1.234.567', '1 234 567', '1\\,234\\,567', '12,34,567'],
    ['1234', '1,234', '1.234,0'],
    ['1.234', '1.2340'],
    ['1.5', '1{,}5', '1,5 kg', '1,50 €', '\\$1,50', '1 1/2', '1\\frac{1}{2}', '1½', '3/2'],
    ['0.125', '12,5\\%', '12,5 %', '12.5%', '\\frac{1}{8}', '2^{-3}'],
    [
      '6.02e23',
      '6.02\\times 10^{23}',
      '6.02 \\cdot 10^{23}',
      '6.02 x 10^23',
      '6.02 × 10²³',
      '602e21',
      '6.02*10**23',
    ],
    ['5000000', '5 million', '5{,}000{,}000', '5e6'],
    ['12345678901234567891', '12,345,678,901,234,567,891'],
    // Units.
    [
      '60',
      '60 km/h',
      '60\\text{ km/h}',
      '60\\ \\mathrm{km/h}',
      '60^\\circ',
      '60°',
      '60 °C',
      '60 apples',
      '\\$60',
      '60 dollars',
      '60\\text{ m}^2',
    ],
    // Roots, pi and expressions.
    [
      'sqrt(2)/2',
      '\\frac{\\sqrt2}{2}',
      '\\frac{1}{\\sqrt{2}}',
      '\\sqrt{\\frac12}',
      '√2/2',
      '2^{-1/2}',
      '0.5\\sqrt2',
    ],
    ['2*sqrt(3)', '\\sqrt{12}', '2\\sqrt3', '\\frac{6}{\\sqrt3}', '\\sqrt3 + \\sqrt3'],
    ['sqrt(2)-1', '\\frac{1}{1+\\sqrt2}', '-1 + \\sqrt{2}'],
    ['2*2^(1/3)', '\\sqrt[3]{16}', '16^{1/3}'],
    ['pi/2', '\\frac{\\pi}{2}', '0.5\\pi', 'π/2', '\\frac12 \\pi'],
    ['x^2+2*x+1', '(x+1)^2', '1 + 2x + x^2', '(x+1)(1+x)', 'y = x^2 + 2x + 1', 'f(x) = (x+1)^2'],
    ['x/2+0.5', '\\frac{x+1}{2}', '0.5x + 0.5'],
    ['1/(x+1)', '(x+1)^{-1}', '\\frac{2}{2x+2}'],
    ['4*i+3', '3 + 4i', '4i + 3', '3 - 4i^3'],
    ['sin(2*x)', '\\sin 2x', '\\sin(2x)', '\\sin{2x}'],
    ['sin(x)^2', '\\sin^2 x', '(\\sin x)^2'],
    ['e^(2*x)', 'e^{2x}', 'e^{x+x}', '\\exp(2x)'],
    ['120', '5!', 'n = 120', 'n=5!'],
    ['x+y-5=0', 'x+y=5', '5=y+x', '2x+2y=10'],
    ['1010_2', '1010_{2}'],
    // Lists, sets, tuples and intervals.
    [
      '{1,2}',
      '\\{1,2\\}',
      '\\{2, 1\\}',
      '1,2',
      '2, 1',
      '1 and 2',
      'x=1 \\text{ or } x=2',
      'x = 1, x = 2',
      '{2,1}',
      '1; 2',
    ],
    ['(1,2)', '( 1 , 2 )', '\\left(1,2\\right)', '\\langle 1,2 \\rangle', '(1; 2)', '1<x<2', ']1,2['],
    ['(2,1)', '(2,\\, 1)'],
    ['[1,2]', '\\left[1,2\\right]', '1 \\le x \\le 2', 'x \\in [1,2]'],
    ['[1,2)', '[1,2[', '1 \\leq x < 2', '2 > x \\ge 1'],
    ['(1.5,2)', '(1,5; 2)', '(\\frac32, 2)'],
    ['(1,234)', '(1, 234)'],
    ['(3,infinity)', 'x>3', '3 < x', '(3, \\infty)', 'x \\in (3,+\\infty)'],
    ['(-infinity,1)∪(3,5]', '(3,5] \\cup (-\\infty,1)', 'x<1 \\text{ or } 3<x\\le5'],
    ['{-3,3}', '\\pm 3', '3, -3', '±3', 'x = \\pm 3'],
    ['{x=3,y=4}', 'x=3, y=4', 'y = 4 \\text{ and } x = 3', 'x = 3,\\quad y = \\frac{8}{2}'],
    ['{x=4,y=3}', 'x=4, y=3'],
    ['(3,4)', '(x,y)=(3,4)', '(x, y) = (3, 4)', 'P = (3,4)', '3 < x < 4'],
    ['{f(x)=1,g(x)=x}', 'f(x)=1, g(x)=x'],
    ['{}', '\\emptyset', '\\varnothing', '\\{\\}', '∅'],
    ['infinity', '\\infty', '+\\infty', '∞', 'Infinity'],
    ['-infinity', '-\\infty', '−∞'],
    [
      '\\begin{matrix}1&2\\\\3&4\\end{matrix}',
      '\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}',
      '\\begin{bmatrix}1&\\frac{4}{2}\\\\3&4\\\\\\end{bmatrix}',
    ],
    // Powers that are not computed.
    ['10^10000000000', '10^{10^{10}}', '1 \\cdot 10^{10^{10}}'],
    // Text.
    ['b', 'B', '(B)', 'B.', '\\text{(B)}', '\\textbf{B}'],
    ['new york', 'New York', '\\text{New York}', 'new  york.'],
    ['no solution', '\\text{No solution}', 'no solution.'],
    ['at least 5', 'At least 5', '\\text{at least } 5.'],
    // No calculations.
    ['5 may', '5 May'],
    ['5 june', '5 June'],
    ['5 am', '5 AM'],
    ['5 pm'],
    ['44 bc', '44 BC'],
    ['1st'],
    ['0.333…', '0.333...'],
    ['1/3'],
    ['0.333'],
    ['{4,5,6}', '4,5 \\text{ and } 6', '4, 5, and 6'],
    ['157*m/50', '3,14 m', '3.14 m'],
    ['2024-01-31'],
    ['1/2/2024'],
    ['3-5'],
    ['1.2.3'],
    ['3:4'],
    ['1/0', '\\frac{1}{0}'],
    ['nan', 'NaN'],
    ['xy'],
    ['70!'],
  ],
  choice: [
    [
      'A',
      'a',
      '(A)',
      'A.',
      'a)',
      '[A]',
      'Option A',
      'Answer: A',
      '(A) Paris',
      'A. Paris',
      '\\textbf{(A)}',
      '\\boxed{A}',
      '**A**',
    ],
    ['B', '(B)', 'B: 12', '\\text{(B)}\\ 12'],
    ['A,C', 'A, C', 'C and A', '(A), (C)', '(C) & (A)', 'A; C'],
    ['12', '(12)', '12.'],
    ['a cat', 'A cat', 'a cat.'],
  ],
  json: [
    ['{"a":1,"b":[1,2]}', '{"b": [1.0, 2], "a": 1e0}', '{"b":[1,2],"a":1.00}'],
    ['{"a":1,"b":[2,1]}', '{"b": [2, 1], "a": 1}'],
    ['{"a":"x","b":null}', '{ "b": null, "a": " x " }'],
    ['12345678901234567891', '1.2345678901234567891e19'],
    ['5', '5.0', ' 5 '],
    ['"5"'],
    ['true', ' true'],
    ['0', '-0', '0.0'],
    ['{not json', ' {not json '],
    ['{"__proto__":1,"a":2}', '{"a":2,"__proto__":1}'],
  ],
  text: [
    ['new york', 'New York', 'NEW  YORK.', '"New York"', '(New York)', '“new york”', 'New York!'],
    ['strasse', 'Straße', 'STRASSE'],
    ["it's", 'It’s'],
    ['well-known', 'Well\u2013known', 'well-known,'],
    ['3.5'],
    ['35'],
    ['-5', '−5'],
    ['5', '5.', '(5)'],
    ['.5', '.5.'],
    ['f(x)', 'F(X)'],
    ['c++', 'C++'],
    ['?!', ' ?! '],
    ['10:30', '10:30.'],
  ],
}

describe.each(Object.entries(SAME) as [Comparison, (typeof SAME)[Comparison]][])('as %s', (compare, rows) => {
  test.each(rows.map((row) => ({ expected: row[0], answers: row })))('$expected', ({ expected, answers }) => {
    for (const answer of answers) expect(key(compare, answer), answer).toBe(expected)
  })

  test('rows differ, and a key is its own key', () => {
    const keys = rows.map(([first]) => first)
    expect(new Set(keys).size).toBe(keys.length)
    for (const each of keys) expect(key(compare, each)).toBe(each)
  })
})

describe('a text that says something else of a number is not that number', () => {
  test.each([
    'at least 5',
    '5 or more',
    'not 5',
    'about 5',
    '5 more than x',
    '5!!!',
    '5:00',
    '#5',
    '5/',
    '<5>',
    '5 dozen',
  ])('%s', (answer) => {
    expect(key('maths', answer)).not.toBe('5')
  })
})

describe('answers of the model, references and feedback are read by one rule', () => {
  const boxed = createAnswerFormat({ kind: 'boxed', compare: 'maths', normalise: ['trim'] })
  const json = createAnswerFormat({ kind: 'json', compare: 'json', normalise: ['trim'] })
  const number = createAnswerFormat({ kind: 'number', compare: 'maths', normalise: ['trim'] })

  test('boxed', () => {
    expect(boxed.extract('so \\boxed{\\frac{\\sqrt{2}}{2}}')).toBe('sqrt(2)/2')
    expect(boxed.normalise('1/\\sqrt2')).toBe('sqrt(2)/2')
    expect(boxed.normalise('\\boxed{1/\\sqrt2}')).toBe('sqrt(2)/2')
    expect(boxed.normalise(' \u200B ')).toBeNull()
  })

  test('json: an object or an array is an answer', () => {
    expect(json.extract('{"steps": "", "answer": {"b": 2.0, "a": [1, 2]}}')).toBe('{"a":[1,2],"b":2}')
    expect(json.normalise('{"a":[1.0,2],"b":2}')).toBe('{"a":[1,2],"b":2}')
    expect(json.extract('{"answer": 12345678901234567891}')).toBe('12345678901234567891')
  })

  test('number: in both conventions, percent signs count', () => {
    expect(number.extract('It is 1.234,50 in all.')).toBe('1234.5')
    expect(number.extract('It is 1,234.50 in all.')).toBe('1234.5')
    expect(number.extract('It is 50%.')).toBe('0.5')
    expect(number.normalise('1/2')).toBe('0.5')
  })
})

describe('the table of docs/models.md', () => {
  const page = readFileSync(new URL('../../../../docs/models.md', import.meta.url), 'utf8')
  const table = page.split('| `compare` | the same | key |')[1]?.split('\n\n')[0] ?? ''
  const cells = table.split('\n').map((row) => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))
  const codes = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
  let compare: Comparison = 'maths'
  const rows = cells.flatMap(([kind = '', answers = '', expected = '']) => {
    compare = (codes(kind)[0] as Comparison | undefined) ?? compare
    const [same, different] = answers.split('; not ')
    return codes(expected).map((wanted) => ({
      compare,
      wanted,
      same: codes(same),
      different: codes(different),
    }))
  })

  test('has rows of every kind', () => {
    expect(new Set(rows.map(({ compare }) => compare))).toEqual(new Set(Object.keys(SAME)))
    expect(rows.length).toBeGreaterThan(14)
  })

  test.each(rows)('$compare $wanted', ({ compare, wanted, same, different }) => {
    expect(same.length).toBeGreaterThan(0)
    for (const answer of same) expect(key(compare, answer), answer).toBe(wanted)
    for (const answer of different) expect(key(compare, answer), answer).not.toBe(wanted)
  })
})
