import { describe, expect, test } from 'vitest'
import { createAnswerFormat } from '../../../src/solving/judging/answer-format.ts'
import { threadTime } from '../../support/thread-time.ts'

const boxes = createAnswerFormat({ kind: 'boxed', normalise: ['trim'] })

describe('the last box with something in it', () => {
  test.each([
    ['\\boxed{5} and \\boxed{}', '5'],
    ['\\boxed{5} and \\boxed{ \n }', '5'],
    ['\\boxed{5} and \\boxed{\u200B}', '5'],
    ['\\boxed{}', null],
    ['\\boxed {5}', '5'],
    ['\\boxed\n{5}', '5'],
    ['\\boxed 5', '5'],
    ['\\boxed5', '5'],
    ['so $\\boxed 12$.', '12'],
    ['so \\boxed 12.', '12'],
    ['so \\(\\boxed -3\\)', '-3'],
    ['so \\boxed\\frac{1}{2} here', '\\frac{1}{2}'],
    ['so {\\boxed 5}', '5'],
    ['\\boxed{1}, \\boxed 2', '2'],
    ['\\boxed 1, \\boxed{2}', '2'],
    ['\\fbox{5}', '5'],
    ['\\boxed{5} then \\fbox{6}', '6'],
    ['\\\\boxed{5}', '5'],
    ['\\boxed{\\{1, 2\\}}', '\\{1, 2\\}'],
    ['\\boxed{x \\} y}', 'x \\} y'],
    ['\\boxed{x \\{ y}', 'x \\{ y'],
    ['\\boxed{a \\\\} b}', 'a \\\\'],
    ['\\boxed{\\boxed{5}}', '5'],
    ['\\boxed{\\frac{1}{2}}', '\\frac{1}{2}'],
    ['cut short: \\boxed{7} and \\boxed{8', '7'],
    ['\\boxedfoo{5}', null],
    ['\\boxed', null],
    ['\\boxed.', null],
    ['boxed{5}', null],
  ])('of %j is %j', (text, expected) => {
    expect(boxes.extract(text)).toBe(expected)
  })
})

test('100,000 characters of anything take less than 200 ms', () => {
  const pieces = [
    '{',
    '}',
    '\\',
    '\\boxed',
    '\\boxed{',
    '\\boxed ',
    '\\boxed 1{',
    '\\boxed{ }',
    '\\{',
    '\\boxed{\\',
  ]
  for (const piece of pieces) {
    const text = piece.repeat(100_000 / piece.length)
    expect(
      threadTime(() => boxes.extract(text)),
      piece,
    ).toBeLessThan(200)
  }
})
