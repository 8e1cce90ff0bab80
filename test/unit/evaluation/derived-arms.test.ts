import { describe, expect, test } from 'vitest'
import { deriveArms } from '../../../src/evaluation/derived-arms.ts'
import type { AnswerRecord } from '../../../src/evaluation/records.ts'
import { reportSignals } from '../../../src/evaluation/signals.ts'

type Sample = NonNullable<AnswerRecord['candidates']>[number]

const sample = (answer: string | null, right: boolean, over: Partial<Sample> = {}): Sample => ({
  kind: 'sample',
  answer,
  right,
  reward: -0.5,
  rewardTerms: { verifier: -0.5, 'verifier.correctness': -0.5 },
  tokens: 10,
  logProbability: -0.5,
  selfCertainty: 5,
  confidence: null,
  lrm: null,
  ...over,
})

const record = (candidates: readonly Sample[], over: Partial<AnswerRecord> = {}): AnswerRecord => ({
  problem: 'p1',
  family: null,
  arm: 'bank',
  run: 1,
  reference: '7',
  answer: '5',
  right: false,
  error: null,
  at: 0,
  seconds: 2,
  promptTokens: 30,
  generatedTokens: 40,
  judgedTokens: 8,
  candidates,
  ...over,
})

const SAMPLES = [
  sample('1', false, { tokens: 11 }),
  sample('2', false, { rewardTerms: { verifier: -0.1, 'verifier.correctness': -0.5 } }),
  sample('3', false, { logProbability: -0.1, reward: -0.001 }),
  sample('7', true, { selfCertainty: 9 }),
  sample('1', false),
  sample(null, false, { selfCertainty: 99, logProbability: -0.01 }),
]

const chosen = (records: readonly AnswerRecord[]) =>
  Object.fromEntries(deriveArms(records).map(({ arm, answer, right }) => [arm, [answer, right]]))

test('each selector chooses among the samples of the arm, never a text without an answer', () => {
  expect(chosen([record(SAMPLES)])).toEqual({
    'bank → first sample': ['1', false],
    'bank → majority': ['1', false],
    'bank → majority, ties by log-probability': ['1', false],
    'bank → reward': ['3', false],
    'bank → verifier': ['2', false],
    'bank → log-probability': ['3', false],
    'bank → self-certainty': ['7', true],
    'bank → any right (knows the answers)': ['7', true],
  })
})

test('selectors choose as best-of-n does: by the whole verifier, ties by reward, samples without a score last', () => {
  const samples = [
    sample('1', false, { rewardTerms: { verifier: -0.4, 'verifier.correctness': -0.01 } }),
    sample('2', false, { rewardTerms: { verifier: -0.2, 'verifier.correctness': -0.5 } }),
    sample('7', true, { rewardTerms: { verifier: -0.2, 'verifier.correctness': -0.5 }, reward: -0.1 }),
    sample('3', false, { logProbability: null }),
  ]
  expect(chosen([record(samples)])).toMatchObject({
    'bank → verifier': ['7', true],
    'bank → log-probability': ['7', true],
  })
})

test('a tie of votes goes to the reward, or to the likelier answer', () => {
  const tied = [
    sample('1', false, { reward: -0.1, logProbability: -0.9 }),
    sample('7', true, { reward: -0.9, logProbability: -0.1 }),
  ]
  expect(chosen([record(tied)])).toMatchObject({
    'bank → majority': ['1', false],
    'bank → majority, ties by log-probability': ['7', true],
  })
})

test('a selector has rows where every answer has its score', () => {
  const judged = SAMPLES.map((each, index) => ({ ...each, confidence: index / 10 }))
  expect(chosen([record(judged)])['bank → judge']).toEqual(['1', false])
  expect(chosen([record(judged), record(SAMPLES, { problem: 'p2' })])).not.toHaveProperty('bank → judge')
})

test('a weighted vote counts the weights of equal answers together', () => {
  const votes = [
    sample('1', false, { lrm: 0.3, confidence: 0.2 }),
    sample('1', false, { lrm: 0.3, confidence: 0.2 }),
    sample('7', true, { lrm: 0.5, confidence: 0.5 }),
    sample(null, false, { lrm: 0.9, confidence: 0.9 }),
  ]
  expect(chosen([record(votes)])).toMatchObject({
    'bank → majority': ['1', false],
    'bank → lrm': ['7', true],
    'bank → majority weighted by lrm': ['1', false],
    'bank → majority weighted by judge': ['7', true],
  })
})

test('the first sample has its share of the tokens, the others all', () => {
  const derived = deriveArms([record(SAMPLES)])
  const tokens = (name: string) => {
    const found = derived.find(({ arm }) => arm === `bank → ${name}`)
    return [found?.generatedTokens, found?.judgedTokens]
  }
  expect(tokens('first sample')).toEqual([11, 8 / 6])
  expect(tokens('verifier')).toEqual([40, 8])
})

test('arms without kept samples have none, nor have those with one', () => {
  const { candidates: _, ...bare } = record(SAMPLES)
  expect(deriveArms([bare])).toEqual([])
  expect(deriveArms([record([sample('1', true)])])).toEqual([])
  expect(deriveArms([record([{ ...sample('1', true), kind: 'draft' }, sample('2', false)])])).toEqual([])
  expect(deriveArms([record(SAMPLES), record([], { error: 'PROMPT_TOO_LONG' })])).not.toEqual([])
})

describe('the signals of an arm that keeps its samples', () => {
  // Two right and two wrong samples: the judge orders all four pairs, the log-probability half of them.
  const mixed = [
    sample('7', true, { confidence: 0.9, logProbability: -0.1 }),
    sample('7', true, { confidence: 0.8, logProbability: -0.9 }),
    sample('1', false, { confidence: 0.7, logProbability: -0.3 }),
    sample(null, false, { logProbability: -0.4 }),
  ]
  const alike = [sample('7', true, { confidence: 0.1 }), sample('7', true, { confidence: 0.2 })]

  test('are measured on answers with right and wrong samples', () => {
    const rows = reportSignals([record(mixed), record(alike, { problem: 'p2' })])
    expect(rows).toMatchObject([
      { arm: 'bank', signal: 'reward', mixed: 1, withinAuc: { value: 0.5 } },
      { signal: 'verifier', withinAuc: { value: 0.5 } },
      { signal: 'log-probability', withinAuc: { value: 0.5 } },
      { signal: 'self-certainty', withinAuc: { value: 0.5 } },
      { signal: 'judge', withinAuc: { value: 1 } },
    ])
  })

  test('have an interval from ten problems on, over problems', () => {
    const worse = mixed.map((each) => ({ ...each, confidence: 1 - (each.confidence ?? 0.5) }))
    const records = Array.from({ length: 12 }, (_, index) =>
      record(index % 3 === 0 ? worse : mixed, { problem: `p${index}` }),
    )
    const judge = reportSignals(records).find(({ signal }) => signal === 'judge')!
    expect(judge.withinAuc.value).toBeGreaterThan(0.6)
    expect(judge.withinAuc.low!).toBeLessThan(judge.withinAuc.value)
    expect(judge.withinAuc.high!).toBeGreaterThan(judge.withinAuc.value)
  })
})
