import { describe, expect, test } from 'vitest'
import { TEXT_PATTERN } from '../../../src/http/schemas/primitives.ts'
import { createAnswerFormat } from '../../../src/solving/judging/answer-format.ts'
import { threadTime } from '../../support/thread-time.ts'

const objects = createAnswerFormat({ kind: 'json', normalise: ['trim'] })
/** The answer that a model wrote into an object, as its characters stand in the text. */
const written = (answer: string) => objects.extract(`Sure: {"final answer": "${answer}"}`)

describe('LaTeX in JSON', () => {
  test.each([
    ['\\frac{1}{2}', '\\frac{1}{2}'],
    ['\\\\frac{1}{2}', '\\frac{1}{2}'],
    ['\\theta', '\\theta'],
    ['\\neq', '\\neq'],
    ['\\boxed{5}', '\\boxed{5}'],
    ['\\beta', '\\beta'],
    ['2\\pi', '2\\pi'],
    ['\\(5\\)', '\\(5\\)'],
    ['\\sqrt 2', '\\sqrt 2'],
    ['\\rho + \\nu', '\\rho + \\nu'],
    ['\\times5', '\\times5'],
    ['\\upsilon', '\\upsilon'],
    ['\\{1\\}', '\\{1\\}'],
    ['a\\nb', 'a\nb'],
    ['a\\tb', 'a\tb'],
    ['one\\nuse', 'one\nuse'],
    ['\\u0035', '5'],
    ['a\\/b', 'a/b'],
    ['say \\"5\\"', 'say "5"'],
  ])('%j is %j', (text, expected) => {
    expect(written(text)).toBe(expected)
  })
})

describe('the answer of an object', () => {
  test.each([
    ['{"answer": "5"} where the set is {1, 2}', '5'],
    ['{"answer": "5"} {', '5'],
    ['{"answer": "5"} }', '5'],
    ['{"answer": "5"} and {"note": "no answer"}', '5'],
    ['{"answer": "4"} no, {"answer": "5"}', '5'],
    ['{"answer": "5"} {"answer": ""}', '5'],
    ['{"parts": [{"answer": "4"}], "answer": "5"}', '5'],
    ['{"note": "a { b", "answer": "5"}', '5'],
    ['{"note": "a } b", "answer": "5"}', '5'],
    ['{"Answer": "5"}', '5'],
    ['{"Final Answer": "5"}', '5'],
    ['{"FINAL_ANSWER": 5}', '5'],
    ['{"finalAnswer": 5, "answer": 4}', '5'],
    ['{"answer": "5",}', '5'],
    ['{"steps": [1, 2,], "answer": "5" ,\n}', '5'],
    ['{"thought process": "one\ntwo\tthree", "answer": "5"}', '5'],
    ['```json\n{\n  "answer": 5\n}\n```', '5'],
    ['{"answer": 9007199254740993}', '9007199254740993'],
    ['{"answer": 3.50}', '3.5'],
    ['{"answer": 1e21}', '1e21'],
    ['{"answer": false}', 'false'],
    ['{"answer": null}', null],
    ['{"answer": ["5"]}', null],
    ['{"answer": {"value": "5"}}', null],
    ['{}', null],
    ['{"answer" "5"}', null],
  ])('in %j is %j', (text, expected) => {
    expect(objects.extract(text)).toBe(expected)
  })
})

test.each(['\\ud83d', '\\u0000', '5\\f', '5\\b', '\\u200b5', '\\ud83d\\ude00', '5\\u0085'])(
  'an answer written %j is text that the API accepts',
  (text) => {
    const answer = written(text) ?? ''
    expect(answer).toMatch(new RegExp(TEXT_PATTERN, 'u'))
    expect(answer.isWellFormed()).toBe(true)
  },
)

test('a long object with much LaTeX is read to its beginning', () => {
  const steps = '\\\\frac{1}{2} '.repeat(1_000)
  expect(objects.extract(`{"steps": "${steps}", "answer": "5"}`)).toBe('5')
})

test('16,384 characters of anything take less than 50 ms', () => {
  const pieces = [
    '{',
    '}',
    '{"',
    '{ ',
    '{"answer":',
    '{"answer":[',
    '"',
    '{"a":"\\',
    '{"answer": 5}',
    '{"a",',
    ' ',
  ]
  for (const piece of pieces) {
    const text = piece.repeat(16_384 / piece.length)
    expect(
      threadTime(() => objects.extract(text)),
      piece,
    ).toBeLessThan(50)
  }
})
