import { describe, expect, test } from 'vitest'
import {
  type Answer,
  createFormatTerm,
  createLogitVerdicts,
  createRewardJudge,
  createVerifier,
  createWrittenVerdicts,
  hasPassed,
  isAdmitted,
  type RewardTerm,
  readScore,
  readVerdictWord,
  type VerdictCriterion,
  type VerdictTokens,
} from '#algorithms'
import type { GenerationRow } from '#ports'
import {
  createConstantJudge,
  createPerfectJudge,
  createRandomJudge,
} from '../../../bench/quality/control-judges.ts'

function answer(overrides: Partial<Answer> = {}): Answer {
  return {
    tokens: [1, 2],
    text: 'ans 3',
    answer: '3',
    finish: 'eos',
    sequence: 1,
    tail: [],
    thought: null,
    signals: null,
    ...overrides,
  }
}

function term(name: string, weight: number, value: number, correctness?: number): RewardTerm {
  const score = { value, parts: {}, ...(correctness !== undefined && { correctness }) }
  return { name, weight, score: async (answers) => answers.map(() => score) }
}

async function rewardOf(terms: readonly RewardTerm[]) {
  const [judgement] = await createRewardJudge(terms).judge([answer()])
  return judgement!
}

describe('composition', () => {
  test.each([
    // verifier (w, r), format (w, r), reward
    [1, -0.3, 2, 0, -0.1],
    [1, -0.03, 2, -1, -0.676667],
    [1, -1, 2, -1, -1],
    [1, 0, 2, 0, 0],
    [3, -0.5, 1, -0.1, -0.4],
    [0.001, -1, 1000, 0, -0.000001],
  ])('verifier %d x %d and format %d x %d make %d', async (v, verifier, f, format, reward) => {
    const judgement = await rewardOf([term('verifier', v, verifier), term('format', f, format)])

    expect(judgement.reward).toBeCloseTo(reward, 6)
    expect(judgement.terms).toEqual({ verifier, format })
  })

  test('stays in [-1, 0] in spite of rounding', async () => {
    for (const weights of [
      [0.1, 0.2, 0.7],
      [1 / 3, 1 / 7, 1e-9],
    ]) {
      const terms = weights.map((weight, index) => term(`t${index}`, weight, -1))
      expect((await rewardOf(terms)).reward).toBeGreaterThanOrEqual(-1)
    }
    expect(Object.is((await rewardOf([term('t', 1, -0)])).reward, 0)).toBe(true)
  })

  test.each([Number.NaN, 0.001, -1.001, Number.NEGATIVE_INFINITY])('refuses a term of %d', async (value) => {
    await expect(rewardOf([term('bad', 1, value)])).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  test('refuses no terms and weights that are not above 0', () => {
    for (const terms of [[], [term('t', 0, -1)], [term('t', Number.NaN, -1)], [term('t', -1, -1)]]) {
      expect(() => createRewardJudge(terms)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    }
  })

  test('scores no term for an empty list of answers', async () => {
    const asked: RewardTerm = { name: 't', weight: 1, score: () => Promise.reject(new Error('asked')) }
    expect(await createRewardJudge([asked]).judge([])).toEqual([])
  })
})

describe('the correctness floor', () => {
  const judgement = (reward: number, correctness: number | null) => ({ reward, terms: {}, correctness })

  test.each([
    [-0.1, 0.9, true],
    [-0.1, 0.5, true],
    [-1 / 6, 0.1, false], // fails only correctness under the published weights
    [-0.2, 0.9, false], // not above
    [-0.1, null, true],
  ])('reward %d with P(correct) %d stops the search: %s', (reward, correctness, passes) => {
    expect(hasPassed(judgement(reward, correctness), -0.2)).toBe(passes)
  })

  test.each([
    [0.81, -0.2, true],
    [0.79, -0.2, false],
    [0.96, 0, true],
    [0.94, 0, false],
    // No threshold of a reward makes a P(correct) below one half good enough.
    [0.51, -0.8, true],
    [0.49, -0.8, false],
  ])('P(correct) %d by a fused judge passes a stop reward of %d: %s', (fused, stopReward, passes) => {
    expect(hasPassed({ ...judgement(-0.9, null), fused }, stopReward)).toBe(passes)
  })

  test.each([
    [-0.5, 0.5, true],
    [-0.51, 0.9, false],
    [-0.3, 0.49, false],
    [0, null, false],
  ])('reward %d with P(correct) %d is admitted: %s', (reward, correctness, admits) => {
    expect(isAdmitted(judgement(reward, correctness), -0.5)).toBe(admits)
  })
})

describe('verifier', () => {
  const YES = 10
  const YEP = 11
  const NO = 12
  const GOOD = 13
  const POOR = 14

  function verifierWith(
    logits: (criterion: number, token: number, sequence: number) => number,
    criteria: readonly Partial<VerdictCriterion & VerdictTokens>[],
  ) {
    const calls: { rows: number; tokens: readonly number[] }[] = []
    let fed = 0
    const full = criteria.map((criterion, index) => ({
      name: `c${index}`,
      weight: 1,
      trueTokens: [YES],
      falseTokens: [NO],
      rowFor: ({ sequence }: Answer) => ({
        sequence,
        suffix: Array.from({ length: index + 1 }, () => index),
      }),
      ...criterion,
    }))
    const ask = createLogitVerdicts({
      words: full,
      onTokens: (tokens) => {
        fed += tokens
      },
      session: {
        async score(rows, tokens) {
          calls.push({ rows: rows.length, tokens })
          return rows.map(({ sequence, suffix }) =>
            Float32Array.from(tokens, (token) => logits(suffix[0]!, token, sequence)),
          )
        },
      },
    })
    const isJudgeable = ({ finish }: Answer) => finish === 'eos'
    const verifier = createVerifier({ weight: 1, criteria: full, ask, isJudgeable })
    return { verifier, calls, fed: () => fed }
  }

  const fromTable = (table: Record<number, number>) => (_: number, token: number) => table[token] ?? -100

  test.each([
    [0, 0, 0.5],
    [2, 0, 1 / (1 + Math.exp(-2))],
    [-3, 1, 1 / (1 + Math.exp(4))],
    [500, -500, 1],
    [-500, 500, 0],
  ])('logits true %d, false %d: P(true) = %d', async (yes, no, p) => {
    const { verifier } = verifierWith(fromTable({ [YES]: yes, [NO]: no }), [{ name: 'correctness' }])

    const [score] = await verifier.score([answer()])

    expect(score!.value).toBeCloseTo(p - 1, 6)
    expect(score!.correctness).toBeCloseTo(p, 6)
  })

  test('sums the probability of several words for the same verdict', async () => {
    const { verifier } = verifierWith(fromTable({ [YES]: 0, [YEP]: 0, [NO]: 0 }), [
      { trueTokens: [YES, YEP] },
    ])

    const [score] = await verifier.score([answer()])

    expect(score!.value).toBeCloseTo(2 / 3 - 1, 6)
  })

  test('weighs several criteria, reports each, and takes P(correct) from correctness alone', async () => {
    const p = [0.1, 0.9, 0.8, 1 - 1e-9]
    const { verifier, calls, fed } = verifierWith(
      (criterion, token) => (token === YES ? Math.log(p[criterion]! / (1 - p[criterion]!)) : 0),
      [
        { name: 'correctness', weight: 1 },
        { name: 'comprehension', weight: 1 },
        { name: 'calculation', weight: 2 },
        { name: 'clarity', weight: 2 },
      ],
    )

    const [score] = await verifier.score([answer()])

    expect(score!.value).toBeCloseTo((1 * -0.9 + 1 * -0.1 + 2 * -0.2 + 0) / 6, 6)
    expect(score!.correctness).toBeCloseTo(0.1, 6)
    expect(score!.parts['calculation']).toBeCloseTo(-0.2, 6)
    expect(Object.keys(score!.parts)).toEqual(['correctness', 'comprehension', 'calculation', 'clarity'])
    expect(calls).toEqual([{ rows: 4, tokens: [YES, NO] }])
    expect(fed()).toBe(1 + 2 + 3 + 4)
  })

  test('reads each criterion by its own words', async () => {
    const logits = { [YES]: 3, [NO]: 0, [GOOD]: 0, [POOR]: 3 }
    const { verifier } = verifierWith(fromTable(logits), [
      { name: 'correctness' },
      { name: 'clarity', trueTokens: [GOOD], falseTokens: [POOR] },
    ])

    const [score] = await verifier.score([answer()])

    expect(score!.parts['correctness']).toBeCloseTo(1 / (1 + Math.exp(-3)) - 1, 6)
    expect(score!.parts['clarity']).toBeCloseTo(1 / (1 + Math.exp(3)) - 1, 6)
  })

  test('takes the whole term for P(correct) when no criterion has that name', async () => {
    const { verifier } = verifierWith(fromTable({ [YES]: 1, [NO]: 0 }), [{ name: 'quality' }])

    const [score] = await verifier.score([answer()])

    expect(score!.correctness).toBeCloseTo(score!.value + 1, 12)
  })

  test('judges all answers in one batch, and unjudgeable answers without the model', async () => {
    const { verifier, calls } = verifierWith(
      (_criterion, token, sequence) => (token === YES ? sequence : 0),
      [{ name: 'correctness' }, { name: 'clarity' }],
    )

    const scores = await verifier.score([
      answer({ sequence: 1 }),
      answer({ finish: 'length' }),
      answer({ sequence: 2 }),
    ])

    expect(calls).toHaveLength(1)
    expect(calls[0]!.rows).toBe(4)
    expect(scores[1]).toEqual({ value: -1, parts: { correctness: -1, clarity: -1 }, correctness: 0 })
    expect(scores[0]!.value).toBeCloseTo(1 / (1 + Math.exp(-1)) - 1, 6)
    expect(scores[2]!.value).toBeCloseTo(1 / (1 + Math.exp(-2)) - 1, 6)
  })

  test('does not call the model for a batch of unjudgeable answers', async () => {
    const { verifier, calls } = verifierWith(() => 0, [{}])
    await verifier.score([answer({ finish: 'length' })])
    expect(calls).toHaveLength(0)
  })

  test('rejects a NaN degree', async () => {
    const { verifier } = verifierWith(() => Number.NaN, [{}])
    await expect(createRewardJudge([verifier]).judge([answer()])).rejects.toMatchObject({ code: 'INTERNAL' })
  })
})

describe('a written verdict', () => {
  const MARKER = 'FINAL VERIFICATION ANSWER:'
  const WORDS = { true: ['True', 'correct'], false: ['False', 'incorrect', 'not correct'] }

  test.each([
    [`It adds up. ${MARKER} True`, 1],
    [`It adds up. ${MARKER} **true**.`, 1],
    [`${MARKER}\n\n\\boxed{True}`, 1],
    ['final verification answer: correct', 1],
    [`It does not add up. ${MARKER} False`, 0],
    // The published parser looks for "true" anywhere after the marker.
    [`${MARKER} False, this is not true`, 0],
    [`${MARKER} not correct`, 0],
    [`${MARKER} untrue`, 0],
    [`${MARKER} Truely nobody knows`, 0],
    [`${MARKER} I think it is true`, 0],
    // No verdict at all.
    ['It is all true', 0],
    ['', 0],
    [`true ${MARKER}`, 0],
    [`${MARKER} `, 0],
    // The last marker counts.
    [`I must end in "${MARKER} True" or "${MARKER} False". ${MARKER} False`, 0],
    [`If it were wrong I would say ${MARKER} False. ${MARKER} True`, 1],
    [`${MARKER} True ... but wait. ${MARKER}`, 0],
    // Lower-casing can make the text longer.
    [`İİİİ ${MARKER} True`, 1],
  ])('%j gives %d', (text, verdict) => {
    expect(readVerdictWord(text, MARKER, WORDS)).toBe(verdict)
  })

  test('is the longest word that matches, true or false', () => {
    expect(readVerdictWord('V: not correct', 'V:', { true: ['not'], false: ['not correct'] })).toBe(0)
    expect(readVerdictWord('V: not wrong', 'V:', { true: ['not wrong'], false: ['not'] })).toBe(1)
  })

  test('is found after markers that contain regular expression syntax', () => {
    expect(readVerdictWord('x [verdict]* (a|b)-/ true', '[verdict]* (a|b)-/', WORDS)).toBe(1)
    expect(readVerdictWord('verdict true', '[verdict]', WORDS)).toBe(0)
  })

  test.each<readonly [text: string, score: number]>([
    ['Score: 0.75', 0.75],
    ['Score: **1**', 1],
    ['Score: .5.', 0.5],
    ['Score = 0.25, all in all', 0.25],
    ['Score: \\boxed{0.9}', 0.9],
    ['Score: 0.2 ... no. Score: 0.4', 0.4],
    ...[
      'Score: 8/10',
      'Score: 1/10',
      'Score: 1 / 10',
      'Score: 1 out of 10',
      'Score: 0,8',
      'Score: 1%',
      'Score: 1.5',
      'Score: 0.9.1',
      'Score: -0.5',
      'Score: 1e-3',
      'Score: high',
      'Score: NaN',
      'Score:',
      '0.9',
      '',
    ].map((text) => [text, 0] as const),
  ])('%j is worth %d', (text, score) => {
    expect(readScore(text, 'Score')).toBe(score)
  })

  /** Judge whose tokens are character codes: token 65 is "A". */
  function written(answerOf: (row: GenerationRow) => { text: string; finish?: 'eos' | 'length' }) {
    const batches: (readonly GenerationRow[])[] = []
    let tokens = 0
    const ask = createWrittenVerdicts({
      maxNewTokens: 40,
      read: (_, letters) => readVerdictWord(String.fromCharCode(...letters), 'V:', WORDS),
      onTokens: (count) => {
        tokens += count
      },
      session: {
        async generate(rows) {
          batches.push(rows)
          return rows.map((row) => {
            const { text, finish = 'eos' } = answerOf(row)
            const letters = Array.from(text, (letter) => letter.charCodeAt(0))
            return {
              sequence: 9,
              latents: { data: new Float32Array(), length: 0, width: 1 },
              finish,
              tokens: [...row.prefix, ...letters],
              thought: null,
              signals: null,
              generatedTokens: letters.length,
            }
          })
        },
      },
    })
    const codes = (text: string) => Array.from(text, (letter) => letter.charCodeAt(0))
    const criteria = ['correctness', 'clarity'].map((name, index) => ({
      name,
      weight: 1 + index,
      rowFor: ({ sequence }: Answer) => ({ sequence, suffix: codes(`${name}? Say V: true or V: false.`) }),
    }))
    const verifier = createVerifier({ weight: 1, criteria, ask, isJudgeable: () => true })
    return { verifier, batches, tokens: () => tokens }
  }

  test('is requested for all criteria and answers in one batch, greedily, after the answer', async () => {
    const { verifier, batches, tokens } = written(({ prefix, sequence }) => ({
      text: sequence === 1 && prefix[1] === 111 ? 'V: true' : 'V: false',
    }))

    const scores = await verifier.score([answer({ sequence: 1 }), answer({ sequence: 2 })])

    expect(batches).toHaveLength(1)
    expect(batches[0]!.map(({ sequence }) => sequence)).toEqual([1, 1, 2, 2])
    expect(batches[0]![0]).toMatchObject({ temperature: 0, maxNewTokens: 40, latents: 0 })
    expect(scores[0]).toEqual({ value: -2 / 3, parts: { correctness: 0, clarity: -1 }, correctness: 1 })
    expect(scores[1]).toEqual({ value: -1, parts: { correctness: -1, clarity: -1 }, correctness: 0 })
    const asked = batches[0]!.reduce((sum, { prefix }) => sum + prefix.length, 0)
    expect(tokens()).toBe(asked + 7 + 8 + 8 + 8)
  })

  test('is not read from the prompt: a judge that writes nothing does not approve', async () => {
    const { verifier } = written(() => ({ text: '' }))
    expect((await verifier.score([answer()]))[0]).toMatchObject({ value: -1, correctness: 0 })
  })

  test('is 0 when the judge reached its token limit', async () => {
    const { verifier } = written(() => ({ text: 'V: true', finish: 'length' }))
    expect((await verifier.score([answer()]))[0]).toMatchObject({ value: -1, correctness: 0 })
  })

  test('with the weights of LatentEvolve, Eq. 11, is (ans + comp + calc + 2 form + 2 clar) / 7', async () => {
    const q = [1, 0.5, 0.25, 0.75, 0]
    const criteria = [1, 1, 1, 2, 2].map((weight, index) => ({
      name: ['correctness', 'comprehension', 'calculation', 'form', 'clarity'][index]!,
      weight,
      rowFor: () => ({ sequence: 0, suffix: [index] }),
    }))
    const ask = async (questions: readonly { criterion: number }[]) =>
      questions.map((each) => q[each.criterion]!)
    const [score] = await createVerifier({ weight: 1, criteria, ask, isJudgeable: () => true }).score([
      answer(),
    ])

    expect(score!.value).toBeCloseTo((1 + 0.5 + 0.25 + 2 * 0.75 + 0) / 7 - 1, 12)
    expect(score!.correctness).toBe(1)
  })
})

describe('format', () => {
  const rules = [
    { name: 'answer', holds: ({ answer: found }: Answer) => found !== null },
    { name: 'ends', holds: ({ finish }: Answer) => finish === 'eos' },
  ]

  test.each([
    [{}, 0, { answer: 0, ends: 0 }],
    [{ answer: null }, -1, { answer: -1, ends: 0 }],
    [{ answer: null, finish: 'length' as const }, -1, { answer: -1, ends: -1 }],
  ])('%o scores %d', async (overrides, value, parts) => {
    const [score] = await createFormatTerm(rules, 2).score([answer(overrides)])
    expect(score).toEqual({ value, parts })
  })

  test('is 0 without rules', async () => {
    expect(await createFormatTerm([], 2).score([answer()])).toEqual([{ value: 0, parts: {} }])
  })
})

describe('control rewards', () => {
  test('perfect is 0 for the reference answer alone', async () => {
    const judgements = await createPerfectJudge('3').judge([
      answer(),
      answer({ answer: '4' }),
      answer({ answer: null }),
    ])
    expect(judgements.map(({ reward }) => reward)).toEqual([0, -1, -1])
    expect(judgements.map(({ correctness }) => correctness)).toEqual([1, 0, 0])
  })

  test('constant never passes, and prefers the later of two answers', async () => {
    const [first, second] = await createConstantJudge().judge([answer(), answer()])
    expect(first!.reward).toBe(-1)
    expect(second!.reward).toBeCloseTo(-1, 8)
    expect(second!.reward).toBeGreaterThan(first!.reward)
    expect(hasPassed(second!, -0.2)).toBe(false)
    expect(isAdmitted(second!, -1)).toBe(false)
  })

  test('random is seeded, in [-1, 0], and never admitted', async () => {
    const draw = async (seed: number) => {
      const judge = createRandomJudge(seed)
      const judgements = await judge.judge(Array.from({ length: 200 }, () => answer()))
      expect(judgements.some((each) => isAdmitted(each, -1))).toBe(false)
      return judgements.map(({ reward }) => reward)
    }
    const rewards = await draw(1)
    expect(await draw(1)).toEqual(rewards)
    expect(await draw(2)).not.toEqual(rewards)
    expect(Math.min(...rewards)).toBeGreaterThanOrEqual(-1)
    expect(Math.max(...rewards)).toBeLessThanOrEqual(0)
    expect(rewards.reduce((sum, each) => sum + each, 0) / 200).toBeCloseTo(-0.5, 1)
  })
})
