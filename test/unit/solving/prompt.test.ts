import { expect, test } from 'vitest'
import { createQuestionSpan, promptMessages } from '../../../src/solving/prompt.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { createLinearModel, encode, TEST_PROFILE } from '../../support/linear-model.ts'
import { GOOD_DRAFT, solverOn } from '../../support/solve-in-memory.ts'

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

test.each(['3 + 4', '? 1', '1', 'a', 'd e ? 1 a'])(
  'the place of the question %j is that of its tokens',
  (question) => {
    const profile = withSolver({ system: 'c', template: 'b {question} = ?' })
    const engine = createLinearModel({ ...GOOD_DRAFT, profile })
    const prompt = engine.codec.encodeChat(promptMessages(question, engine.model.profile))
    const { from, to } = createQuestionSpan(engine)(prompt)
    expect(prompt.slice(from, to)).toEqual(encode(question))
  },
)

test('a profile with a layer embeds the states of the question’s tokens in this layer', async () => {
  const episodes = createEpisodesInMemory()
  const embedding = { token: 'question', layer: 0, mean: null } as const
  const { solve, engine } = solverOn({ ...GOOD_DRAFT, profile: { embedding } }, { episodes })
  await solve({ strategy: 'greedy', question: '6 + 4' })
  expect(engine.calls).toMatchObject({ pool: 1, embed: 0 })
  // The head is the identity: the states of layer 0 are the tokens, and the embedding has length 1.
  const stored = episodes.added[0]!.embedding
  const marked = [...stored.entries()].filter(([, value]) => value > 0)
  expect(marked.map(([token]) => token).sort()).toEqual(encode('6 + 4').sort())
  for (const [, value] of marked) expect(value).toBeCloseTo(1 / Math.sqrt(3), 6)
})
