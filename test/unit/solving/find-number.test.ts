import { describe, expect, test } from 'vitest'
import { createAnswerFormat } from '../../../src/solving/judging/answer-format.ts'
import { threadTime } from '../../support/thread-time.ts'

const numbers = createAnswerFormat({ kind: 'number', normalise: ['trim', 'number'] })
const normaliser = createAnswerFormat({ normalise: ['number'] })

describe('the last number of a text', () => {
  test.each([
    // Signs.
    ['The temperature is −3 degrees.', '-3'],
    ['The temperature is –3 degrees.', '-3'],
    ['The temperature is \uFF0D3 degrees.', '-3'],
    ['is −1', '-1'],
    ['The loss is -$5', '-5'],
    ['The loss is −\\$5.', '-5'],
    ['The loss is $-5', '-5'],
    ['The loss is -€1,200.50', '-1200.5'],
    ['#### -3', '-3'],
    ['+5', '5'],
    ['-0', '0'],
    ['答案是-3', '-3'],
    ['$x = -3$', '-3'],
    ['x=-3', '-3'],
    // Hyphens behind words and numbers.
    ['GPT-4', '4'],
    ['COVID-19', '19'],
    ['2024-01-31', '31'],
    ['3–5', '5'],
    ['f(2)-3', '3'],
    ['the answer --5', '5'],
    // Leading points and closing punctuation.
    ['It costs $.50', '0.5'],
    ['p = .25', '0.25'],
    ['p is .1', '0.1'],
    ['x = -.5', '-0.5'],
    ['See Fig.3', '3'],
    ['The end.5', '5'],
    ['42.', '42'],
    ['72, in total', '72'],
    ['29.00', '29'],
    ['so 7...', '7'],
    // Fractions.
    ['The answer is 3/4.', '3/4'],
    ['The answer is -3/4', '-3/4'],
    ['The answer is \\frac{3}{4}.', '3/4'],
    ['The answer is $-\\dfrac{3}{4}$', '-3/4'],
    ['The answer is \\frac34', '3/4'],
    ['The answer is 1 1/2 cups', '1 1/2'],
    ['The answer is 1½ cups', '1 1/2'],
    ['The answer is ½', '1/2'],
    ['on 1/2/2024 there were none', null],
    ['The answer is \\frac{\\pi}{2}', null],
    ['60 km/h', '60'],
    // Powers.
    ['6.02 x 10^23', '6.02e23'],
    ['6.02 \\times 10^{23}', '6.02e23'],
    ['6.02 × 10²³', '6.02e23'],
    ['6.02*10**23', '6.02e23'],
    ['1.6 × 10^{-19}', '1.6e-19'],
    ['1.6 × 10⁻¹⁹', '1.6e-19'],
    ['10^6', '1000000'],
    ['2^10', '2^10'],
    ['2^10 = 1024', '1024'],
    ['2^n', null],
    // Groups of digits.
    ['1,234.50', '1234.5'],
    ['1{,}234', '1234'],
    ['1\\,234', '1234'],
    ['1\\,234\\,567', '1234567'],
    ['1,\\!234', '1234'],
    ['1\u202F234', '1234'],
    ['1\u00A0234', '1234'],
    ['1\u2009234', '1234'],
    ['12,34,567', '1234567'],
    ['1,2,3', '3'],
    ['0.5,1.5', '1.5'],
    ['1.234,56', '1234.56'],
    ['1.234.567', '1234567'],
    ['1.234', '1.234'],
    ['version 1.2.3', null],
    ['12 of them, version 1.2.3', '12'],
    // Units.
    ['12 km2', '12'],
    ['12 m^2', '12'],
    ['12 m^{2}', '12'],
    ['12 m^-2', '12'],
    ['12 m²', '12'],
    ['90^\\circ', '90'],
    ['90°', '90'],
    ['50%', '50'],
    ['50\\%', '50'],
    ['x_1 is 7 here', '7'],
    ['ans5', '5'],
    // Digits of other scripts.
    ['４２', '42'],
    ['٤٢', '42'],
    ['−٤٢٫٥', '-42.5'],
    ['४२', '42'],
    ['𝟒𝟐', '42'],
    ['1\u200B2', '12'],
    // Exact.
    ['9007199254740993.0', '9007199254740993'],
    ['9007199254740993', '9007199254740993'],
    ['12345678901234567891', '12345678901234567891'],
    ['0.10000000000000000001', '0.10000000000000000001'],
    ['0000000000000000005', '5'],
    ['1e21', '1e21'],
    ['1e+21', '1e21'],
    ['1000000000000000000000', '1e21'],
    ['1234567890123456789012345', '1234567890123456789012345'],
    ['1e400', '1e400'],
    ['1e20', '100000000000000000000'],
    ['0.0000001', '1e-7'],
    ['1e-7', '1e-7'],
    ['none, nor ,,, or ...', null],
  ])('of %j is %j', (text, expected) => {
    expect(numbers.extract(text)).toBe(expected)
    expect(numbers.normalise(text)).toBe(expected ?? text)
    if (expected !== null) expect(numbers.normalise(expected)).toBe(expected)
  })
})

describe('an answer that is a number', () => {
  test.each([
    ['−5', '-5'],
    ['-$5', '-5'],
    ['\\$5', '5'],
    ['1{,}234', '1234'],
    ['5%', '5'],
    ['5\\%', '5'],
    ['$5$', '5'],
    ['\\(5\\)', '5'],
    ['(5)', '5'],
    ['**5**', '5'],
    ['**$5$**.', '5'],
    ['5 .', '5'],
    ['1,2', '1,2'],
    ['5 km', '5 km'],
    ['12 m²', '12 m²'],
    ['x = 5', 'x = 5'],
    ['3/4', '3/4'],
    ['GPT-4', 'GPT-4'],
    ['(', '('],
    ['$', '$'],
  ])('%j is %j', (text, expected) => {
    expect(normaliser.normalise(text)).toBe(expected)
  })
})

test('16,384 characters of anything take less than 50 ms', () => {
  const pieces = [
    ' ',
    '1',
    ',',
    '.',
    '1,',
    '1.',
    ' .',
    '1,23',
    '1/',
    '1^',
    '-',
    '$',
    '\\',
    '{',
    '𝟒',
    '½',
    '1 ',
  ]
  pieces.push('\\frac{', '(', '1e', '1 x ', '1,2 ', '\\,', '٤', '1²', '1{,}', '^{', '**', '1 1/2 ')
  for (const piece of pieces) {
    const text = piece.repeat(16_384 / piece.length)
    for (const read of [numbers.extract, normaliser.normalise]) {
      expect(
        threadTime(() => read(text)),
        piece,
      ).toBeLessThan(50)
    }
  }
})
