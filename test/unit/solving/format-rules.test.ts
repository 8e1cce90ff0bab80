import { expect, test } from 'vitest'
import type { Answer } from '#algorithms'
import { createFormatRules } from '../../../src/solving/judging/format-rules.ts'
import { TEST_PROFILE } from '../../support/linear-model.ts'

const RESTATES = { question: '(\\d[-+*\\d\\s]*\\d)', reasoning: ':([^;]*);' }

function broken(
  format: typeof TEST_PROFILE.format,
  question: string,
  { text = 'left : 6 + 4 ; ans 0', answer = '0', finish = 'eos' }: Partial<Answer> = {},
): string[] {
  const rules = createFormatRules({ ...TEST_PROFILE, format })(question)
  const given: Answer = {
    tokens: [],
    sequence: 0,
    tail: [],
    thought: null,
    signals: null,
    text,
    answer,
    finish,
  }
  return rules.filter((rule) => !rule.holds(given)).map(({ name }) => name)
}

test.each([
  ['the problem asked', 'At the till: 6 + 4 = ?', {}, []],
  ['the same but for white space', 'At the till: 6+4 = ?', {}, []],
  ['another problem', 'At the till: 6 + 5 = ?', {}, ['restates']],
  ['no problem at all', 'At the till: 6 + 4 = ?', { text: 'left ans 0' }, ['restates']],
  ['whatever, when the question is none of the profile’s', 'Who are you?', {}, []],
  ['an answer cut short', 'At the till: 6 + 4 = ?', { finish: 'length' as const }, ['ends']],
  ['no answer', 'At the till: 6 + 4 = ?', { answer: null }, ['answer']],
])('restating %s', (_name, question, answer, expected) => {
  expect(broken({ mustEnd: true, restates: RESTATES }, question, answer)).toEqual(expected)
})

test('asks only what the profile asks', () => {
  expect(broken({ mustEnd: false }, '6 + 5', { finish: 'length' })).toEqual([])
})

test('a pattern that is none is refused when the solver is made', () => {
  const format = { mustEnd: true, restates: { question: '(', reasoning: 'x' } }
  expect(() => createFormatRules({ ...TEST_PROFILE, format })).toThrow(
    expect.objectContaining({ code: 'MODEL_INVALID', message: expect.stringContaining('restates.question') }),
  )
})
