import { describe, expect, test } from 'vitest'
import type { ModelProfile } from '#engine'
import { createVerdicts } from '../../../src/solving/verdicts.ts'
import {
  createLinearModel,
  END,
  encode,
  TEST_PROFILE,
  tokenOf,
  type World,
} from '../../support/linear-model.ts'
import { solverOn } from '../../support/solve-in-memory.ts'

type Judge = ModelProfile['judge']

function criterion(name: string, prompt: string, weight: number): Judge['criteria'][number] {
  return { name, prompt, weight, true: ['true'], false: ['false'] }
}

function worldOf(judge: Judge, verdicts: Readonly<Record<string, number>>): World {
  return {
    routes: { a: { rest: ': 6 + 4 ; ans 1', verdicts } },
    firstLogits: { a: 3 },
    profile: { judge },
  }
}

const USER = tokenOf('<user>')
const ASSISTANT = tokenOf('<assistant>')
const PROMPT = [USER, ...encode('6 + 4 = ?'), END, ASSISTANT]
const ANSWER = [...encode('a : 6 + 4 ; ans 1'), END]

describe('a continuation judge', () => {
  test('reads its verdicts behind the answer, weighs them, and reports each', async () => {
    const judge: Judge = {
      mode: 'continuation',
      criteria: [criterion('correctness', 'check', 1), criterion('clarity', 'check wise', 3)],
    }
    const { solve, engine } = solverOn(worldOf(judge, { check: 0.9, wise: 0.6 }))
    const solution = await solve({ strategy: 'greedy', explain: true, reward: { format: 0 } })

    expect(engine.judged).toEqual([
      [...PROMPT, ...ANSWER, tokenOf('check')],
      [...PROMPT, ...ANSWER, tokenOf('check'), tokenOf('wise')],
    ])
    expect(engine.calls.score).toBe(1)
    expect(solution.reward).toBeCloseTo((1 * -0.1 + 3 * -0.4) / 4, 6)
    const terms = solution.candidates![0]!.rewardTerms
    expect(terms['verifier.correctness']).toBeCloseTo(-0.1, 6)
    expect(terms['verifier.clarity']).toBeCloseTo(-0.4, 6)
    expect(solution.usage.rewardTokens).toBe(3)
  })

  test('does not let form outweigh doubt: a search goes on past P(correct) below one half', async () => {
    const judge: Judge = {
      mode: 'continuation',
      criteria: [criterion('correctness', 'check', 1), criterion('clarity', 'check wise', 50)],
    }
    const { solve } = solverOn(worldOf(judge, { check: 0.3, wise: 0.999 }))
    const solution = await solve({ budget: { maxIterations: 3 } })

    expect(solution.reward).toBeGreaterThan(-0.2)
    expect(solution).toMatchObject({ stopped: 'maxIterations', iterations: 3 })
  })
})

describe('a chat judge', () => {
  const judge: Judge = { mode: 'chat', criteria: [criterion('correctness', '{question} {answer} check', 1)] }
  const turn = [
    USER,
    ...encode('6 + 4 = ?'),
    ...encode('a : 6 + 4 ; ans 1'),
    tokenOf('check'),
    END,
    ASSISTANT,
  ]

  test('asks in a new turn, on the cache of the answer it judges', async () => {
    const { solve, engine } = solverOn(worldOf(judge, { check: 0.9 }))
    const solution = await solve({ strategy: 'greedy' })

    expect(engine.judged).toEqual([[...PROMPT, ...ANSWER, ...turn]])
    expect(solution.usage.rewardTokens).toBe(turn.length)
    expect(solution.reward).toBeCloseTo(-0.1 / 3, 6)
  })

  test('falls back on the cache of the prompt where the template renders the answer in another way', () => {
    const model = createLinearModel(worldOf(judge, { check: 0.9 }))
    const verdicts = createVerdicts(model)
    const context = { question: '6 + 4 = ?', prompt: PROMPT, promptSequence: 0 }
    const messages = [{ role: 'user' as const, content: '6 + 4 = ?' }]
    const [read] = verdicts.criteriaFor({ ...context, messages })
    const answer = {
      ...{ text: 'a : 6 + 4 ; ans 1', answer: '1', finish: 'eos' as const, sequence: 5, tail: [] },
      tokens: ANSWER,
    }

    expect(read!.rowFor(answer)).toEqual({ sequence: 5, suffix: turn })
    expect(read!.rowFor({ ...answer, tokens: [...ANSWER, END] })).toEqual({
      ...{ sequence: 0, suffix: [...ANSWER, ...turn] },
    })
  })

  test('leaves room for an answer that it quotes', () => {
    const model = createLinearModel(worldOf(judge, {}))
    const messages = [{ role: 'user' as const, content: '6 + 4 = ?' }]
    const room = createVerdicts(model).room({ question: '6 + 4 = ?', messages, prompt: PROMPT }, 256)

    // Prompt 8, end of the answer 1, judge's turn 9; the answer stands in it twice.
    expect(room).toBe(Math.floor((256 - 18) / 2))
  })

  test('refuses a template that does not keep the prompt as it was', () => {
    const model = createLinearModel(worldOf(judge, {}))
    const context = { question: '6 + 4 = ?', messages: [], prompt: PROMPT, promptSequence: 0 }
    const [read] = createVerdicts(model).criteriaFor(context)
    const answer = { text: 'a', answer: null, finish: 'eos' as const, sequence: 5, tail: [], tokens: ANSWER }

    expect(() => read!.rowFor(answer)).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }))
  })
})

describe('verdict words', () => {
  test.each([
    ['share their first token', { true: ['true', 'wise'], false: ['wise'] }],
    ['have none', { true: [' '], false: ['false'] }],
  ])('that %s are refused when the solver is made', (_name, words) => {
    const judge: Judge = {
      mode: 'continuation',
      criteria: [{ ...TEST_PROFILE.judge.criteria[0]!, ...words }],
    }
    expect(() => solverOn(worldOf(judge, {}))).toThrow(
      expect.objectContaining({ code: 'MODEL_INVALID', message: expect.stringContaining('correctness') }),
    )
  })
})
