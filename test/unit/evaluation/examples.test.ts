import { expect, test } from 'vitest'
import { type AnswerRecord, type Arm, type Ask, askWithExamples, type Problem } from '#evaluation'
import { solutionOf } from '../../support/evaluations.ts'

const SIGNAL = new AbortController().signal

const QUESTIONS = [
  'Eve buys 3 apples at the till. What does she pay?',
  'Find the largest divisor of 12 and 18.',
  'Leo buys 5 pears at the till. What does he pay?',
]
const PROBLEMS: Problem[] = QUESTIONS.map((question, index) => ({
  id: String(index),
  line: index + 1,
  question,
  reference: `secret-${index}`,
  family: null,
}))

const arm = (examples?: number): Arm => ({
  name: 'a',
  request: { strategy: 'greedy', retrieval: false, learn: false, explain: false },
  ...(examples !== undefined && { examples }),
})

/** Asks questions in order; the model's reasoning is `I solved N`. */
async function askAll(
  given: Arm,
  { questions = QUESTIONS, records = [] as AnswerRecord[], fields = {} as object } = {},
): Promise<string[]> {
  const seen: string[] = []
  const plain: Ask = async ({ question }) => {
    seen.push(question)
    return {
      ...solutionOf('7'),
      reward: -0.1,
      stopped: 'single',
      reasoning: `I solved ${seen.length}`,
      ...fields,
    }
  }
  const ask = askWithExamples(plain, PROBLEMS, records)
  for (const question of questions) await ask({ question, arm: given, run: 1, seed: 1 }, SIGNAL)
  return seen
}

test('the nearest solved problem stands before the question, with the answer of the arm itself', async () => {
  const [first, second, third] = await askAll(arm(1))
  expect(first).toBe(QUESTIONS[0])
  expect(second).toContain(`Problem: ${QUESTIONS[0]}\nSolution: I solved 1`)
  expect(third).toBe(
    `Here are solved problems.\n\nProblem: ${QUESTIONS[0]}\nSolution: I solved 1\n\n` +
      `Now solve this problem.\n\nProblem: ${QUESTIONS[2]}`,
  )
  expect((await askAll(arm(2)))[2]).toMatch(/divisor.*apples.*pears/s)
})

test('an arm without examples asks the question as it is', async () => {
  expect(await askAll(arm())).toEqual(QUESTIONS)
})

test.each([
  ['was cut', { stopped: 'maxNewTokens' }],
  ['has no answer', { answer: null }],
  ['has a low reward', { reward: -0.6 }],
])('an answer that %s is no example', async (_, fields) => {
  expect(await askAll(arm(3), { fields })).toEqual(QUESTIONS)
})

test('a continued evaluation has the examples of its earlier answers, of the same arm and seed', async () => {
  const record = {
    problem: '0',
    arm: 'a',
    run: 1,
    at: 1,
    answer: '7',
    reward: 0,
    stopped: 'single',
    reasoning: 'I solved it before',
  } as AnswerRecord
  const question = [QUESTIONS[2]!]
  expect((await askAll(arm(1), { questions: question, records: [record] }))[0]).toContain(
    'I solved it before',
  )
  for (const other of [
    { ...record, arm: 'b' },
    { ...record, run: 2 },
  ]) {
    expect(await askAll(arm(1), { questions: question, records: [other] })).toEqual(question)
  }
})

test('examples that make a question too long are left out, the farthest first', async () => {
  const long = 'x'.repeat(9000)
  const seen = await askAll(arm(2), { fields: { reasoning: long } })
  expect(seen[2]!.length).toBeLessThan(16_000)
  expect(seen[2]).toContain('apples')
  expect(seen[2]).not.toContain('divisor')
})
