import { describe, expect, test } from 'vitest'
import type { ModelProfile } from '#engine'
import { createAnswerFormat } from '../../../../src/solving/judging/answer-format.ts'
import { threadTime } from '../../../support/thread-time.ts'

type Steps = ModelProfile['answer']['normalise']

const normalise = (normalise: Steps, answer: string) => createAnswerFormat({ normalise }).normalise(answer)

describe('what nobody can see makes no difference, whatever the steps', () => {
  test.each([
    ['caf\u00E9', 'cafe\u0301'],
    ['\uD55C\uAE00', '\u1112\u1161\u11AB\u1100\u1173\u11AF'],
    ['5', '5\u200B'],
    ['5', '\u200E5'],
    ['5', '5\u2060'],
    ['5', '\uFEFF5'],
    ['cooperate', 'co\u00ADoperate'],
    ['ABC 5', '\uFF21\uFF22\uFF23\u3000\uFF15'],
    ['5', '5\u0000'],
  ])('%j and %j', (answer, other) => {
    for (const steps of [[], ['trim'], ['trim', 'lowercase', 'number']] as const) {
      expect(normalise([...steps], other)).toBe(normalise([...steps], answer))
    }
  })
})

test.each([
  ['ß', 'SS'],
  ['İ', 'I'],
  ['Straße', 'STRASSE'],
])('%j and %j are the same in lower case', (answer, other) => {
  expect(normalise(['lowercase'], other)).toBe(normalise(['lowercase'], answer))
})

describe('the step latex', () => {
  test.each([
    ['\\dfrac{1}{2}', '1/2'],
    ['\\tfrac{1}{2}', '1/2'],
    ['\\frac{1}{2}', '1/2'],
    ['\\frac12', '1/2'],
    ['$-\\frac{1}{2}$', '-1/2'],
    ['\\frac{\\pi}{2}', '\\frac{\\pi}{2}'],
    ['\\dfrac{x + 1}{2}', '\\frac{x+1}{2}'],
    ['\\dfrac{\\tfrac{1}{x}}{\\sqrt{2}}', '\\frac{\\frac{1}{x}}{\\sqrt{2}}'],
    ['\\left( 1, 2 \\right)', '(1,2)'],
    ['\\left[0, 1\\right)', '[0,1)'],
    ['(1,\\! 2)', '(1,2)'],
    ['\\text{Tuesday}', 'Tuesday'],
    ['\\text{New York}', 'New York'],
    ['\\textbf{(A)}', '(A)'],
    ['\\mathrm{Tuesday}', 'Tuesday'],
    ['5\\text{ cm}', '5'],
    ['5 \\text{ cm}^2', '5'],
    ['\\frac{1}{2}\\text{ cm}', '1/2'],
    ['1{,}234', '1,234'],
    ['$5$', '5'],
    ['\\(5\\)', '5'],
    ['\\$5', '5'],
    ['90^\\circ', '90'],
    ['90^{\\circ}', '90'],
    ['90°', '90'],
    ['50\\%', '50%'],
    ['{5}', '5'],
    ['{{5}}', '5'],
    ['{1}{2}', '{1}{2}'],
    ['\\boxed{5}', '5'],
    ['x = 5', '5'],
    ['x_1 = 5', '5'],
    ['x + y = 5', 'x+y=5'],
    ['\\sqrt3', '\\sqrt{3}'],
    ['\\sqrt{3}', '\\sqrt{3}'],
    ['2\\,\\pi', '2\\pi'],
    ['x\\;+\\;1', 'x+1'],
    ['5.', '5'],
    ['\\displaystyle 5', '5'],
    ['plain words stay', 'plain words stay'],
  ])('writes %j as %j', (answer, expected) => {
    expect(normalise(['latex'], answer)).toBe(expected)
    expect(normalise(['latex'], expected)).toBe(expected)
  })
})

describe('the step fraction', () => {
  test.each([
    ['1/2', '0.5'],
    ['\\frac{1}{2}', '0.5'],
    ['\\frac12', '0.5'],
    ['½', '0.5'],
    ['0.5', '0.5'],
    ['.50', '0.5'],
    ['2/6', '1/3'],
    ['-4/6', '-2/3'],
    ['−3/4', '-0.75'],
    ['6/3', '2'],
    ['1 1/2', '1.5'],
    ['-1 1/2', '-1.5'],
    ['1 1/3', '4/3'],
    ['0.5/1.5', '1/3'],
    ['1/65536', '0.0000152587890625'],
    ['0/5', '0'],
    ['5/0', '5/0'],
    ['1/2%', '0.5%'],
    ['50%', '50%'],
    ['1/2/3', '1/2/3'],
    ['a/b', 'a/b'],
    ['3.0', '3'],
  ])('writes %j as %j', (answer, expected) => {
    expect(normalise(['fraction'], answer)).toBe(expected)
    expect(normalise(['fraction'], expected)).toBe(expected)
  })
})

describe('the step percent', () => {
  test.each([
    ['50%', '0.5'],
    ['50\\%', '0.5'],
    ['50 %', '0.5'],
    ['12.5%', '0.125'],
    ['-5%', '-0.05'],
    ['50', '50'],
    ['half', 'half'],
  ])('writes %j as %j', (answer, expected) => {
    expect(normalise(['percent', 'number'], answer)).toBe(expected)
  })

  test('sees the sign of a number in a text', () => {
    const format = createAnswerFormat({ kind: 'number', normalise: ['percent', 'number'] })
    expect(format.extract('It is 50%.')).toBe('0.5')
    expect(format.extract('It is 0.50.')).toBe('0.5')
  })
})

describe('the step choice', () => {
  test.each([
    ['(A)', 'A'],
    ['A.', 'A'],
    ['A', 'A'],
    ['a)', 'A'],
    ['[B]', 'B'],
    ['(A).', 'A'],
    ['**A**', 'A'],
    ['\\text{(C)}', 'C'],
    ['Option D', 'D'],
    ['Answer: D', 'D'],
    ['(A) Paris', 'A'],
    ['A. Paris', 'A'],
    ['B: 12', 'B'],
    ['A cat', 'A cat'],
    ['Paris', 'Paris'],
    ['e.g. this', 'e.g. this'],
    ['12', '12'],
  ])('writes %j as %j', (answer, expected) => {
    expect(normalise(['choice'], answer)).toBe(expected)
  })
})

describe('the steps of the default profile before `compare`', () => {
  test.each([
    // The fraction that is no number was dropped: the rest of the sum was the answer.
    ['\\frac{x}{2} + \\frac{1}{2}', '\\frac{x}{2}+\\frac{1}{2}'],
    ['\\frac{1}{2}\\frac{x}{3}', '\\frac{1}{2}\\frac{x}{3}'],
    // The blank was removed: the answer was 11/2.
    ['1 1/2', '1.5'],
    ['1 234', '1234'],
  ])('write %j as %j', (answer, expected) => {
    expect(normalise(['latex', 'lowercase', 'percent', 'fraction'], answer)).toBe(expected)
  })
})

test('one value has one writing, so that votes for it are counted together', () => {
  const format = createAnswerFormat({
    kind: 'boxed',
    normalise: ['latex', 'lowercase', 'number', 'fraction'],
  })
  const samples = ['\\frac{1}{2}', '\\dfrac{1}{2}', '1/2', '0.5', '\\frac12', '3', '3.0']
  const answers = samples.map((sample) => format.extract(`so \\boxed{${sample}}`))
  expect(answers).toEqual(['0.5', '0.5', '0.5', '0.5', '0.5', '3', '3'])
})

describe('a caller’s answer', () => {
  const boxed = { kind: 'boxed', normalise: ['trim', 'number'] } as const
  const json = { kind: 'json', normalise: ['trim'] } as const
  const number = { kind: 'number', normalise: ['trim', 'number'] } as const
  const digit = { pattern: '\\bans\\s*(\\d)', normalise: ['trim'] } as const
  const short = { pattern: '(\\d)', normalise: ['trim'] } as const
  test.each([
    [boxed, '\\boxed{5}', '5'],
    [boxed, '5', '5'],
    [json, '{"answer": 5}', '5'],
    [json, '5', '5'],
    [json, '{1, 2}', '{1, 2}'],
    [number, 'The answer is −5.', '-5'],
    [number, 'three', 'three'],
    [digit, 'ans 5', '5'],
    [digit, '5', '5'],
    [digit, '12', '12'],
    [short, '12', '12'],
    [short, '5', '5'],
  ] as const)('by %j, %j is %j', ({ normalise, ...place }, answer, expected) => {
    expect(createAnswerFormat({ ...place, normalise: [...normalise] }).normalise(answer)).toBe(expected)
  })

  test.each([' ', '\u200B', '\t\n', '\uFEFF'])('%j is none', (answer) => {
    for (const { normalise, ...place } of [boxed, json, number, digit, short]) {
      expect(createAnswerFormat({ ...place, normalise: [...normalise] }).normalise(answer)).toBeNull()
    }
  })
})

test('16,384 characters of anything take less than 50 ms', () => {
  const pieces = [
    ' ',
    '1',
    '\\',
    '{',
    '}',
    '\\frac',
    '\\frac{1}',
    '\\text{',
    '\\text{ a}',
    '1 \\text{',
    '$',
    '\\left',
    '/',
  ]
  pieces.push('a ', 'x = ', '.', '\\sqrt', '^{', '(', '1/', '1 1/2 ')
  const steps: Steps = ['latex', 'lowercase', 'percent', 'fraction', 'number', 'choice', 'trim']
  for (const piece of pieces) {
    const text = piece.repeat(16_384 / piece.length)
    expect(
      threadTime(() => normalise(steps, text)),
      piece,
    ).toBeLessThan(50)
  }
})
