import { expect, test } from 'vitest'
import { promptMessages } from '../../../src/solving/prompt.ts'
import { TEST_PROFILE } from '../../support/linear-model.ts'

const withSolver = (solver: { system: string; template: string }) => ({ ...TEST_PROFILE, solver })

test('is the profile’s system turn and template around the question', () => {
  expect(
    promptMessages(
      '1 + 1?',
      withSolver({ system: 'Be brief.', template: 'Solve: {question}\nStep by step.' }),
    ),
  ).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Solve: 1 + 1?\nStep by step.' },
  ])
})

test('has no system turn where the profile has none', () => {
  expect(promptMessages('1', withSolver({ system: '', template: '{question}' }))).toEqual([
    { role: 'user', content: '1' },
  ])
})

test.each(['{question}', '$& $1 $$', '{answer}', '\\boxed{question}'])(
  'leaves a question like %j as it was written',
  (question) => {
    const [turn] = promptMessages(question, withSolver({ system: '', template: '<{question}>' }))
    expect(turn!.content).toBe(`<${question}>`)
  },
)
