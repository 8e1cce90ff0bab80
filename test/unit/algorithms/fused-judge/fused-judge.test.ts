import { describe, expect, test } from 'vitest'
import { agreementOf, judgeFeatures, openFusedJudge } from '#algorithms'
import type { JudgedAnswer, Policy } from '#ports'
import { createRandom } from '#tensor'
import { type FitExample, fitJudge } from '../../../../src/algorithms/fused-judge/fit-judge.ts'
import { encodeJudge, judgedProbability } from '../../../../src/algorithms/fused-judge/fused-judge.ts'

const KNOWN: JudgedAnswer = {
  reward: -0.4,
  terms: { verifier: -0.3, 'verifier.correctness': -0.25, 'verifier.clarity': -1, format: -0.5 },
  logProbability: -0.4,
  selfCertainty: 9,
  confidence: 0.5,
  agreement: 0.75,
  tokens: 19,
}

describe('features', () => {
  test('are the reward, logits of criteria and reward model, the signals, and the logarithm of the length', () => {
    const edge = Math.log(1e-4 / (1 - 1e-4))
    expect(judgeFeatures(KNOWN)).toEqual({
      reward: -0.4,
      'verifier.correctness': expect.closeTo(Math.log(3), 12),
      'verifier.clarity': expect.closeTo(edge, 12),
      lrm: 0,
      logProbability: -0.4,
      selfCertainty: 9,
      agreement: 0.75,
      format: -0.5,
      length: Math.log(20),
    })
    const { verifier, format } = judgeFeatures({ ...KNOWN, terms: { verifier: -0.25 } })
    expect([verifier, format]).toEqual([expect.closeTo(Math.log(3), 12), null])
    expect(judgeFeatures({ ...KNOWN, confidence: 'withheld' })['lrm']).toBe('withheld')
    expect(judgeFeatures({ ...KNOWN, terms: {}, confidence: null })).toMatchObject({
      verifier: null,
      lrm: null,
    })
  })

  test('agreement leaves out the sample itself, and is missing where it is the only one', () => {
    expect(agreementOf('7', { answers: 5, alike: 3 })).toBe(0.5)
    expect(agreementOf('7', { answers: 1, alike: 1 })).toBeNull()
    expect(agreementOf(null, { answers: 5, alike: 3 })).toBe(0)
  })
})

/** Draws labels from P = sigmoid(0.5 + 2 a - b), a ~ N(3, 2), b ~ N(0, 1); `noise` has no part in it. */
function drawn(count: number, missing = 0): FitExample[] {
  const random = createRandom(11)
  return Array.from({ length: count }, () => {
    const [a, b] = [random.gaussian(), random.gaussian()]
    const p = 1 / (1 + Math.exp(-(0.5 + 2 * a - b)))
    const isMissing = random.uniform() < missing
    const features = {
      a: isMissing ? null : 3 + 2 * a,
      b,
      noise: random.gaussian(),
      constant: 4,
      unknown: null,
    }
    return { features, correct: random.uniform() < p, weight: 1 }
  })
}

describe('a fit', () => {
  test('finds the weights that made the labels, and leaves out what says nothing', () => {
    const { bias, features } = fitJudge(drawn(6000))
    expect(features.map(({ name }) => name)).toEqual(['a', 'b', 'noise'])
    const [a, b, noise] = features
    expect(bias).toBeCloseTo(0.5, 0)
    expect(Math.abs(bias - 0.5)).toBeLessThan(0.15)
    expect(a!.mean).toBeCloseTo(3, 0)
    expect(Math.abs(a!.deviation - 2)).toBeLessThan(0.1)
    expect(Math.abs(a!.weight - 2)).toBeLessThan(0.2)
    expect(Math.abs(b!.weight + 1)).toBeLessThan(0.15)
    expect(Math.abs(noise!.weight)).toBeLessThan(0.15)
    expect(features.map(({ missing }) => missing)).toEqual([0, 0, 0])
  })

  test('minimises cross-entropy and penalty: the gradient is 0 there', () => {
    const examples = drawn(80, 0.3)
    const fitted = fitJudge(examples)
    const loss = (weights: typeof fitted) =>
      weights.features.reduce((sum, { weight, missing }) => sum + (weight ** 2 + missing ** 2) / 2, 0) -
      examples.reduce((sum, { features, correct, weight }) => {
        const p = judgedProbability(weights, features)
        return sum + weight * Math.log(correct ? p : 1 - p)
      }, 0)
    const moved = (change: number, index: number, field: 'weight' | 'missing') => ({
      ...fitted,
      features: fitted.features.map((one, i) =>
        i === index ? { ...one, [field]: one[field] + change } : one,
      ),
    })
    for (const [index, { missing }] of fitted.features.entries()) {
      for (const field of missing === 0 ? (['weight'] as const) : (['weight', 'missing'] as const)) {
        const slope = (loss(moved(1e-4, index, field)) - loss(moved(-1e-4, index, field))) / 2e-4
        expect(slope).toBeCloseTo(0, 3)
      }
    }
    expect(fitted.features[0]!.missing).not.toBe(0)
    const slope =
      loss({ ...fitted, bias: fitted.bias + 1e-4 }) - loss({ ...fitted, bias: fitted.bias - 1e-4 })
    expect(slope / 2e-4).toBeCloseTo(0, 3)
  })

  test('is calibrated also where a feature is missing, and trusts weighty labels more', () => {
    const examples = drawn(4000, 0.5)
    const fitted = fitJudge(examples)
    for (const isMissing of [true, false]) {
      const own = examples.filter(({ features }) => (features['a'] === null) === isMissing)
      const mean = (of: (one: FitExample) => number) =>
        own.reduce((sum, one) => sum + of(one), 0) / own.length
      const expected = mean(({ correct }) => Number(correct))
      expect(mean(({ features }) => judgedProbability(fitted, features))).toBeCloseTo(expected, 2)
    }
    const trusted = fitJudge([
      { features: { x: 1 }, correct: true, weight: 9 },
      { features: { x: -1 }, correct: true, weight: 9 },
      { features: { x: 1 }, correct: false, weight: 1 },
      { features: { x: -1 }, correct: false, weight: 1 },
    ])
    expect(judgedProbability(trusted, { x: 0 })).toBeCloseTo(0.9, 3)
  })

  test('starts from the order of the reward: few answers keep it, many can show that another is better', () => {
    const random = createRandom(8)
    /** The reward says nothing of what is right; `better` says much. */
    const answers = (count: number): FitExample[] =>
      Array.from({ length: count }, (_, index) => {
        const correct = index % 2 === 0
        const better = (correct ? 1 : -1) + random.gaussian()
        return { features: { reward: random.gaussian(), better }, correct, weight: 1 }
      })
    const weightsOf = (examples: readonly FitExample[]) =>
      Object.fromEntries(fitJudge(examples).features.map(({ name, weight }) => [name, weight]))
    const few = weightsOf(answers(4))
    expect(few['reward']).toBeGreaterThan(0.3)
    const many = weightsOf(answers(2000))
    expect(Math.abs(many['reward']!)).toBeLessThan(0.15)
    expect(many['better']).toBeGreaterThan(1)
    const nothing = weightsOf([
      { features: { reward: -1, better: 1 }, correct: true, weight: 1e-9 },
      { features: { reward: 0, better: 0 }, correct: false, weight: 1e-9 },
    ])
    expect(nothing).toEqual({ reward: expect.closeTo(1, 6), better: expect.closeTo(0, 6) })
  })

  test('neither reads a withheld feature nor takes it for missing', () => {
    const random = createRandom(9)
    // What is labelled without the agreement is right more often; that is no fact about missing agreements.
    const examples = Array.from({ length: 900 }, (_, index): FitExample => {
      const agreement = random.uniform()
      const kind = (['known', 'withheld', 'missing'] as const)[index % 3]!
      const p = { known: 0.2 + 0.6 * agreement, withheld: 0.9, missing: 0.3 }[kind]
      const value = { known: agreement, withheld: 'withheld' as const, missing: null }[kind]
      return { features: { agreement: value }, correct: random.uniform() < p, weight: 1 }
    })
    const fitted = fitJudge(examples)
    const at = (agreement: number | 'withheld' | null) => judgedProbability(fitted, { agreement })
    expect(at(0.9)).toBeGreaterThan(at(0.1))
    expect(at('withheld')).toBe(at(fitted.features[0]!.mean))
    expect(at(null)).toBeCloseTo(0.3, 1)
  })

  test('stays finite for separable answers', () => {
    const { bias, features } = fitJudge(
      Array.from({ length: 40 }, (_, i) => ({ features: { x: i }, correct: i >= 20, weight: 1 })),
    )
    expect(features[0]!.weight).toBeGreaterThan(1)
    expect(features[0]!.weight).toBeLessThan(10)
    expect(Math.abs(bias)).toBeLessThan(1)
  })
})

describe('an artifact', () => {
  const weights = {
    bias: -0.5,
    features: [
      { name: 'lrm', mean: 1, deviation: 2, weight: 3, missing: -1 },
      { name: 'length', mean: 0, deviation: 1, weight: 0.5, missing: 0 },
    ],
  }

  test('gives the probabilities of its weights, and the mean for what is missing', async () => {
    const judge = openFusedJudge('judge-1', encodeJudge(weights))
    const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit))
    const length = 0.5 * Math.log(20)
    expect(await judge.score([KNOWN, { ...KNOWN, confidence: null }])).toEqual([
      expect.closeTo(sigmoid(-0.5 + (3 * (0 - 1)) / 2 + length), 12),
      expect.closeTo(sigmoid(-0.5 - 1 + length), 12),
    ])
  })

  const policy: Policy = {
    signal: 'judge',
    medium: [
      { from: 0, strategy: 'best-of-n', samples: 4, selector: 'judge', questions: 40, accuracy: 0.5 },
      { from: 0.75, strategy: 'greedy' },
    ],
  }

  test('holds its policy, or none, as those of earlier releases', () => {
    expect(openFusedJudge('judge-1', encodeJudge({ ...weights, policy })).policy).toEqual(policy)
    expect(openFusedJudge('judge-1', encodeJudge(weights)).policy).toBeNull()
  })

  const withBands = (medium: unknown) =>
    new TextEncoder().encode(JSON.stringify({ ...weights, policy: { signal: 'judge', medium } }))
  const [low, high] = policy.medium!

  test.each([
    ['about the verifier', encodeJudge({ ...weights, policy: { ...policy, signal: 'verifier' } })],
    ['without bands', withBands([])],
    ['with bands that are no list', withBands({ from: 0, strategy: 'greedy' })],
    ['that does not begin at 0', withBands([high])],
    ['in another order', withBands([low, { ...high, from: 0.9 }, high])],
    ['with a P(correct) above 1', withBands([low, { ...high, from: 75 }])],
    ['with an unknown strategy', withBands([{ ...low, strategy: 'guess' }])],
    ['with an unknown selector', withBands([{ ...low, selector: 'coin' }])],
    ['with half a sample', withBands([{ ...low, samples: 0.5 }])],
    ['with too many samples', withBands([{ ...low, samples: 65 }])],
    ['with a figure that is no number', withBands([{ ...low, accuracy: 'high' }])],
  ])('with a policy %s is refused', (_, bytes) => {
    expect(() => openFusedJudge('judge-1', bytes)).toThrow(
      expect.objectContaining({
        code: 'ARTIFACT_INVALID',
        message: expect.stringContaining('fused judge judge-1: expected weights of features'),
      }),
    )
  })

  test.each([
    ['bytes that are no text', Uint8Array.of(255, 0)],
    ['no JSON', new TextEncoder().encode('{')],
    ['no weights', new TextEncoder().encode('{"bias": 1}')],
    ['a bias that is no number', new TextEncoder().encode('{"bias": null, "features": []}')],
    ['a deviation of 0', encodeJudge({ ...weights, features: [{ ...weights.features[0]!, deviation: 0 }] })],
  ])('of %s is refused', (_, bytes) => {
    expect(() => openFusedJudge('judge-1', bytes)).toThrow(
      /fused judge judge-1: expected weights of features/,
    )
  })
})
