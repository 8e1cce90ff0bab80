import { describe, expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { type AnswerRecord, type Ask, answerTasks, listTasks, parseArm } from '#evaluation'
import { ARMS, addRight, grade, PROBLEMS, solutionOf } from '../../support/evaluations.ts'

type Options = Partial<Parameters<typeof answerTasks>[1]>

async function run(ask: Ask, options: Options = {}, tasks = listTasks(PROBLEMS, ARMS, [1, 2])) {
  const records: AnswerRecord[] = []
  const done = answerTasks(tasks, {
    ask,
    grade,
    concurrency: 3,
    stop: new AbortController().signal,
    fingerprint: null,
    pauseMs: 1,
    onAnswer: (record) => void records.push(record),
    ...options,
  })
  return {
    records,
    failure: await done.then(
      () => null,
      (error: unknown) => error,
    ),
  }
}

test('tasks: by seed, by block, by arm; a strategy that draws nothing has one seed', () => {
  const tasks = listTasks(PROBLEMS.slice(0, 2), ARMS, [5, 6])
  expect(tasks.map(({ problem, arm, run }) => `${run} ${arm.name} ${problem.id}`)).toEqual([
    '5 greedy 1',
    '5 greedy 2',
    '5 vote 1',
    '5 vote 2',
    '6 vote 1',
    '6 vote 2',
  ])
})

test('every task is asked once and graded', async () => {
  const { records, failure } = await run(async (asked, signal) => {
    const solution = await addRight(asked, signal)
    return asked.arm.name === 'vote' && asked.question.includes(' 3 ') ? solutionOf('5') : solution
  })
  expect(failure).toBeNull()
  expect(records).toHaveLength(12 + 2 * 12)
  expect(records.filter(({ right }) => !right).map(({ arm, problem, run }) => [arm, problem, run])).toEqual([
    ['vote', '4', 1],
    ['vote', '4', 2],
  ])
  expect(records[0]).toMatchObject({ family: 'even', reference: '1', answer: '1', judgedTokens: 1 })
})

test('a problem has one seed in all arms, and other seeds elsewhere', async () => {
  const seeds = new Map<string, Set<number>>()
  await run(async (asked, signal) => {
    const key = `${asked.question} ${asked.run}`
    seeds.set(key, (seeds.get(key) ?? new Set()).add(asked.seed))
    return addRight(asked, signal)
  })
  expect([...seeds.values()].every((own) => own.size === 1)).toBe(true)
  expect(new Set([...seeds.values()].flatMap((own) => [...own])).size).toBe(24)
})

test('an answer that the profile writes otherwise is right, no answer is wrong, candidates are graded', async () => {
  const candidate = {
    kind: 'sample',
    text: 'ans 1',
    reward: -0.2,
    rewardTerms: {},
    logProbability: null,
    selfCertainty: null,
    confidence: null,
    lrm: null,
    tokens: 3,
  } as const
  const candidates = [
    { ...candidate, answer: '1' },
    { ...candidate, answer: null },
  ]
  const [task] = listTasks(PROBLEMS, [parseArm('lto:explain=true')], [1])
  const { records } = await run(async () => solutionOf(' 1', { candidates }), {}, [task!])
  expect(records[0]?.right).toBe(true)
  expect(records[0]?.candidates?.map(({ right }) => right)).toEqual([true, false])
  expect(JSON.stringify(records[0]?.candidates)).not.toContain('ans 1')
  const none = await run(async () => solutionOf(null), {}, [task!])
  expect(none.records[0]?.right).toBe(false)
})

describe('faults', () => {
  const throwing = (code: ConstructorParameters<typeof ServiceError>[0], times: number): Ask => {
    const left = new Map<string, number>()
    return async (asked, signal) => {
      const key = `${asked.question} ${asked.arm.name} ${asked.run}`
      const before = left.get(key) ?? times
      left.set(key, before - 1)
      if (before > 0) throw new ServiceError(code, `scripted: ${code}`)
      return addRight(asked, signal)
    }
  }

  test.each(['ENGINE_OVERLOADED', 'STORE_UNAVAILABLE'] as const)('%s is repeated', async (code) => {
    const { records, failure } = await run(throwing(code, 2))
    expect({ failure, answers: records.length }).toEqual({ failure: null, answers: 36 })
  })

  test('that stay end the evaluation, without what was in progress', async () => {
    let asked = 0
    const { records, failure } = await run(async () => {
      asked += 1
      throw new ServiceError('REQUEST_INVALID', 'scripted: no such strategy')
    })
    expect(String(failure)).toContain('scripted: no such strategy')
    expect(records).toEqual([])
    expect(asked).toBeLessThanOrEqual(3)
  })

  test.each(['PROMPT_TOO_LONG', 'MEMORY_EXCEEDED'] as const)(
    '%s is an answer that is wrong',
    async (code) => {
      const { records, failure } = await run(throwing(code, 1))
      expect(failure).toBeNull()
      expect(records).toHaveLength(36)
      expect(records[0]).toMatchObject({ error: code, right: false, answer: null })
    },
  )

  test('another model behind the same address is refused', async () => {
    const { failure } = await run(addRight, { fingerprint: 'f0' })
    expect(String(failure)).toContain('expected answers of the model f0, got one of f1')
  })
})

test('a stop drops answers in progress and begins no other', async () => {
  const stop = new AbortController()
  let asked = 0
  const { records, failure } = await run(
    async (each, signal) => {
      asked += 1
      if (asked === 5) stop.abort()
      if (signal.aborted) throw new ServiceError('ABORTED', 'scripted: stopped')
      return addRight(each, signal)
    },
    { stop: stop.signal },
  )
  expect(failure).toBeNull()
  expect(records.length).toBeLessThanOrEqual(5)
  expect(asked).toBeLessThanOrEqual(7)
})
