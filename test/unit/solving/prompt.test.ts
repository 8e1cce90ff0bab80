import { expect, suite, test } from 'vitest'
import {
  createQuestionSpan,
  promptMessages,
  rememberedQuestion,
  writePrompt,
} from '../../../src/solving/prompt.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { createLinearModel, encode, TEST_PROFILE } from '../../support/linear-model.ts'
import { GOOD_DRAFT, solverOn } from '../../support/solve-in-memory.ts'

const withSolver = (solver: { system: string; template: string }) => ({ ...TEST_PROFILE, solver })
const BARE = withSolver({ system: '', template: '{question}' })
/** Marks what was quoted. */
const codec = { quote: (text: string) => `'${text}'` }

test('is the profile’s system turn and template around the question', () => {
  expect(
    promptMessages(
      { question: '1 + 1?' },
      codec,
      withSolver({ system: 'Be brief.', template: 'Solve: {question}\nStep by step.' }),
    ),
  ).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: "Solve: '1 + 1?'\nStep by step." },
  ])
})

test('has no system turn where the profile has none', () => {
  expect(promptMessages({ question: '1' }, codec, BARE)).toEqual([{ role: 'user', content: "'1'" }])
})

test.each(['{question}', '$& $1 $$', '{answer}', '\\boxed{question}'])(
  'leaves a question like %j as it was written',
  (question) => {
    const [turn] = promptMessages({ question }, codec, withSolver({ system: '', template: '<{question}>' }))
    expect(turn!.content).toBe(`<'${question}'>`)
  },
)

test.each(['3 + 4', '? 1', '1', 'a', 'd e ? 1 a'])(
  'the place of the question %j is that of its tokens',
  (question) => {
    const profile = withSolver({ system: 'c', template: 'b {question} = ?' })
    const engine = createLinearModel({ ...GOOD_DRAFT, profile })
    const prompt = engine.codec.encodeChat(promptMessages({ question }, engine.codec, engine.model.profile))
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

suite('turns before the question', () => {
  const context = [
    { role: 'system', content: 'In French.' },
    { role: 'user', content: '1 + 1?' },
    { role: 'assistant', content: '2', reasoning: 'easy' },
    { role: 'system', content: 'Be kind.' },
    { role: 'tool', content: 'found' },
  ] as const

  test('stand between one system turn and the question, each quoted', () => {
    expect(
      promptMessages(
        { question: 'And 2?', context },
        codec,
        withSolver({ system: 'Be brief.', template: 'Q: {question}' }),
      ),
    ).toEqual([
      { role: 'system', content: "Be brief.\n\n'In French.'\n\n'Be kind.'" },
      { role: 'user', content: "'1 + 1?'" },
      { role: 'assistant', content: "'2'", reasoning_content: "'easy'" },
      { role: 'tool', content: "'found'" },
      { role: 'user', content: "Q: 'And 2?'" },
    ])
  })

  test('make another question of the same words', () => {
    expect(rememberedQuestion({ question: 'And 2?' })).toBe('And 2?')
    expect(rememberedQuestion({ question: 'And 2?', context: [] })).toBe('And 2?')
    expect(rememberedQuestion({ question: 'And 2?', context: context.slice(0, 2) })).toBe(
      'system: In French.\n\nuser: 1 + 1?\n\nuser: And 2?',
    )
  })

  const own = createLinearModel({ routes: {}, firstLogits: {} }).codec

  test('are part of the tokens', () => {
    const { messages, tokens } = writePrompt({ question: '2', context: context.slice(1, 3) }, own, BARE)
    expect(tokens).toEqual(own.encodeChat(messages))
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
  })

  test.each([
    [
      'that the template refuses',
      () => {
        throw new Error('roles must alternate')
      },
      'roles must alternate',
    ],
    ['that the template leaves out', () => 'user 2', 'role tool'],
  ])('%s are a fault of the caller', (_, renderChat, named) => {
    const write = () =>
      writePrompt({ question: '2', context: context.slice(4) }, { ...own, renderChat }, BARE)
    expect(write).toThrow(
      expect.objectContaining({
        code: 'REQUEST_INVALID',
        faults: [{ pointer: '/context', detail: expect.stringContaining(named) }],
      }),
    )
  })
})
