import { describe, expect, test } from 'vitest'
import {
  decodeJudge,
  type GateAnswer,
  gateJudge,
  type JudgeExample,
  openFusedJudge,
  trainJudge,
} from '#algorithms'
import { createRandom } from '#tensor'

const PER_QUESTION = 4

/** Answers to `count` questions, half of them right, with scores of quality `skill` (logits). */
function answersOf(count: number, skill: number, seed = 1, tenants = 1): GateAnswer[] {
  const random = createRandom(seed)
  return Array.from({ length: count * PER_QUESTION }, (_, index) => {
    const question = Math.floor(index / PER_QUESTION)
    const correct = index % 2 === 0
    const logit = skill * (correct ? 1 : -1) + random.gaussian()
    return {
      question: `q${question}`,
      tenantId: `t${question % tenants}`,
      episodeId: `e${question}`,
      answer: correct ? '1' : '2',
      verifier: -0.1,
      byMajority: false,
      correct,
      score: 1 / (1 + Math.exp(-2 * skill * logit)),
    }
  })
}

const scoresOf = (answers: readonly GateAnswer[]) => answers.map(({ score }) => score)
const rival = (scores: readonly number[]) => ({ order: scores, probability: scores })
const trial = { hasActive: false, anchor: null, replacesStale: false, seed: 3 }

describe('the gate of the fused judge', () => {
  test('promotes a judge that orders better than the weighting by hand', () => {
    const answers = answersOf(80, 1)
    const byHand = answersOf(80, 0.2, 2)
    const verdict = gateJudge({ ...trial, answers, active: rival(scoresOf(byHand)) })
    expect(verdict).toMatchObject({ promoted: true, isAnchor: true })
    expect(verdict.reason).toMatch(
      /^within-question AUC improves over the weighting of the profile: \+0\.\d+/,
    )
    const { withinAuc, brier } = verdict.metrics
    expect(withinAuc!.value).toBeGreaterThan(verdict.baseline['withinAuc']!.value)
    expect(brier!.value).toBeLessThan(verdict.baseline['brier']!.value)
    expect(verdict.metrics['brier.difference']!.value).toBeCloseTo(
      verdict.baseline['brier']!.value - brier!.value,
      10,
    )
  })

  test('promotes one that orders alike and is calibrated where the other is not', () => {
    const answers = answersOf(80, 1)
    const sure = scoresOf(answers).map((score) => 0.86 + 0.04 * score)
    const verdict = gateJudge({ ...trial, answers, active: rival(sure) })
    expect(verdict.metrics['withinAuc.difference']!.value).toBe(0)
    expect(verdict).toMatchObject({ promoted: true })
    expect(verdict.reason).toMatch(/^calibration \(Brier score, sign reversed\) improves/)
  })

  test.each<
    [string, Partial<Parameters<typeof gateJudge>[0]> & { readonly active: ReturnType<typeof rival> }, RegExp]
  >([
    [
      'too few questions',
      { answers: answersOf(20, 2), active: rival(scoresOf(answersOf(20, 0))) },
      /too few questions with right and wrong answers: expected 30, got 20/,
    ],
    [
      'a judge that orders nothing',
      { answers: answersOf(60, 0), active: rival(new Array(240).fill(0.9)) },
      /is not surely above \.5/,
    ],
    [
      'one that loses order',
      { answers: answersOf(80, 0.6), active: rival(scoresOf(answersOf(80, 1.5, 2))), hasActive: true },
      /within-question AUC against the active one -.* is lower/,
    ],
    [
      'one that gains nothing',
      { answers: answersOf(80, 1), active: rival(scoresOf(answersOf(80, 1))), hasActive: true },
      /no measurable improvement over the active one/,
    ],
    [
      'one that loses to the anchor',
      {
        answers: answersOf(80, 1),
        active: rival(scoresOf(answersOf(80, 0.2, 2))),
        hasActive: true,
        anchor: rival(scoresOf(answersOf(80, 3, 4))),
      },
      /against the anchor/,
    ],
  ])('rejects %s', (_, over, reason) => {
    const verdict = gateJudge({ ...trial, answers: [], ...over })
    expect(verdict.promoted).toBe(false)
    expect(verdict.reason).toMatch(reason)
  })

  test('rejects one that is ordered alike and says P(correct) worse', () => {
    const answers = answersOf(80, 1)
    const sure = answers.map((answer) => ({ ...answer, score: 0.86 + 0.04 * answer.score }))
    const verdict = gateJudge({ ...trial, answers: sure, active: rival(scoresOf(answers)), hasActive: true })
    expect(verdict.reason).toMatch(/^calibration .* is lower/)
  })

  describe('of the first version', () => {
    /** The weighting by hand orders well, and its P(correct) says nothing, so that any fit is better calibrated. */
    const byHand = (count: number) => ({
      order: scoresOf(answersOf(count, 1)),
      probability: new Array<number>(count * PER_QUESTION).fill(0.9),
    })
    const near = (count: number, noise: number) => {
      const random = createRandom(5)
      return answersOf(count, 1).map((one) => ({ ...one, score: one.score + noise * random.gaussian() }))
    }

    test('bears a little more doubt about its order than that of a later one', () => {
      const [answers, active] = [near(200, 0.08), byHand(200)]
      const first = gateJudge({ ...trial, answers, active })
      expect(first.reason).toMatch(/^calibration .* improves over the weighting of the profile/)
      const { low } = first.metrics['withinAuc.difference']!
      expect([low! <= -0.01, low! > -0.02]).toEqual([true, true])
      const later = gateJudge({ ...trial, answers, active, hasActive: true })
      expect(later.reason).toMatch(/AUC against the active one .* may lose 0\.01 or more/)
    })

    test('keeps the weighting of the profile where too little shows that its order is kept', () => {
      const few = gateJudge({ ...trial, answers: near(40, 0.05), active: byHand(40) })
      expect(few.promoted).toBe(false)
      expect(few.reason).toMatch(/AUC against the weighting of the profile .*: may lose 0\.02 or more/)
    })

    /** Nights of 60 questions on which the order by hand has an AUC of .76, and the candidate one that is lower by noise. */
    function promotedOf(runs: number, noise: number): number {
      return Array.from({ length: runs }, (_, seed) => {
        const random = createRandom(seed, 3)
        const drawn = answersOf(60, 0.5, seed).map((one) => ({
          ...one,
          score: Math.log(one.score / (1 - one.score)),
        }))
        const answers = drawn.map((one) => ({
          ...one,
          score: 1 / (1 + Math.exp(-(one.score + noise * random.gaussian()))),
        }))
        const active = { order: scoresOf(drawn), probability: drawn.map(() => 0.9) }
        return gateJudge({ ...trial, answers, active, resamples: 1 })
      }).filter(({ promoted }) => promoted).length
    }

    test('is wrongly found to keep order in one night of twenty, however well it is calibrated', () => {
      const runs = 100
      // An AUC of .74 in place of .76, and one of .76 as before.
      expect(promotedOf(runs, 0.457)).toBeLessThanOrEqual(runs * (0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs)))
      expect(promotedOf(runs, 0.02)).toBeGreaterThan(runs * 0.9)
    }, 30_000)

    test('never gives up order for calibration', () => {
      const worse = gateJudge({ ...trial, answers: near(400, 0.35), active: byHand(400) })
      expect(worse.metrics['withinAuc.difference']!.value).toBeLessThan(-0.03)
      expect(worse.metrics['brier.difference']!.low).toBeGreaterThan(0)
      expect(worse.promoted).toBe(false)
      expect(worse.reason).toMatch(/AUC against the weighting of the profile .* is lower/)
    })
  })

  test('rejects one whose choice is worse, however much better it orders', () => {
    // The best answer of each question is wrong; the candidate orders all others.
    const labels = [false, true, true, false, false, false]
    const inQuestions = (scores: readonly number[]) =>
      Array.from({ length: 80 * scores.length }, (_, index) => scores[index % scores.length]!)
    const [first] = answersOf(1, 1)
    const answers = inQuestions([0.99, 0.9, 0.9, 0.1, 0.1, 0.1]).map((score, index) => {
      const question = Math.floor(index / labels.length)
      const correct = labels[index % labels.length]!
      return { ...first!, question: `q${question}`, episodeId: `e${question}`, correct, score }
    })
    const active = rival(inQuestions([0.5, 0.95, 0.3, 0.4, 0.4, 0.2]))
    const verdict = gateJudge({ ...trial, answers, active, hasActive: true })
    expect(verdict.metrics['withinAuc.difference']!.value).toBeGreaterThan(0.1)
    expect(verdict.promoted).toBe(false)
    expect(verdict.reason).toMatch(/^accuracy of the choice against the active one -.* is lower/)
  })

  test('lets no number of labels by majority outvote those of callers', () => {
    // The candidate says what the majority says, which is right by its own labels, and wrong by those of callers.
    const answers = answersOf(200, 1).map((one, index) => {
      const byMajority = index >= 40 * PER_QUESTION
      const better = byMajority === one.correct
      return { ...one, byMajority, score: better ? 0.9 : one.correct && index % 4 === 0 ? 0.95 : 0.2 }
    })
    const active = rival(answers.map(({ correct }, index) => (correct && index % 4 === 0 ? 0.6 : 0.4)))
    const verdict = gateJudge({ ...trial, answers, active, hasActive: true })
    expect(verdict.metrics['withinAuc.difference']!.low).toBeGreaterThan(0)
    expect(verdict.promoted).toBe(false)
    expect(verdict.reason).toMatch(/against the active one by the labels of callers alone -.* is lower/)
  })

  test('asks for a gain without each single tenant, and for none over a stale version', () => {
    const [answers, others] = [answersOf(80, 1, 1, 2), answersOf(80, 0.2, 2, 2)]
    // All of the gain comes from one tenant.
    const active = rival(
      answers.map(({ tenantId, score }, i) => (tenantId === 't0' ? others[i]!.score : score)),
    )
    expect(gateJudge({ ...trial, answers, active, hasActive: true })).toMatchObject({ promoted: false })
    const stale = {
      ...trial,
      answers,
      active: rival(scoresOf(answers)),
      hasActive: true,
      replacesStale: true,
    }
    expect(gateJudge(stale)).toMatchObject({ promoted: true })
  })

  describe('of a policy', () => {
    const answers = answersOf(80, 1)
    const like = { ...trial, answers, active: rival(scoresOf(answers)), hasActive: true }
    const pairs = (count: number, gained: number, lost = 0) =>
      Array.from({ length: count }, (_, index) => ({
        cluster: `q${index}`,
        mine: Number(index < gained),
        theirs: Number(index >= gained && index < gained + lost),
      }))

    test('promotes one that answers more questions, where nothing else is lost', () => {
      const verdict = gateJudge({ ...like, policies: pairs(60, 3, 1) })
      expect(verdict).toMatchObject({ promoted: true, isAnchor: false })
      expect(verdict.reason).toMatch(/^its policy answers more questions: \+0\.033/)
      expect(verdict.metrics['policy.difference']).toMatchObject({ n: 60 })
    })

    test.each([
      ['that gains nothing', pairs(60, 2, 2)],
      ['of too few questions', pairs(29, 5)],
      ['where there is none', []],
    ])('promotes for none %s', (_, policies) => {
      expect(gateJudge({ ...like, policies })).toMatchObject({
        promoted: false,
        reason: 'no measurable improvement over the active one',
      })
    })

    test('rejects one that answers measurably fewer, whatever else it gains', () => {
      const byHand = rival(scoresOf(answersOf(80, 0.2, 2)))
      const better = { ...like, active: byHand }
      expect(gateJudge(better)).toMatchObject({ promoted: true })
      const verdict = gateJudge({ ...better, policies: pairs(60, 0, 12) })
      expect(verdict).toMatchObject({ promoted: false })
      expect(verdict.reason).toMatch(/^accuracy of its policy -0\.200 .* is lower$/)
    })
  })
})

describe('a training', () => {
  function examples(questions: number, over: Partial<JudgeExample> = {}): JudgeExample[] {
    return answersOf(questions, 1).map(({ score, ...answer }, index) => ({
      answer,
      known: {
        reward: -score,
        terms: { verifier: -score },
        logProbability: -score,
        selfCertainty: 3 + score,
        confidence: null,
        agreement: null,
        tokens: 10,
      },
      part: (['train', 'calibration', 'heldOut', 'locked'] as const)[Math.floor(index / PER_QUESTION) % 4]!,
      weight: 1,
      source: 'reference',
      kind: 'sample',
      strategy: 'majority',
      ...over,
    }))
  }

  test('fits what it may see, and names what it is judged on', async () => {
    const all = examples(80)
    const result = trainJudge(all)
    if ('skipped' in result) throw new Error(result.skipped)
    const { trained } = result
    expect(trained.options).toEqual({ answers: 160, questions: 40, policyQuestions: 0, weightsKept: false })
    expect(trained.heldOut.map((index) => all[index]!.part)).toEqual(new Array(80).fill('heldOut'))
    expect(trained.locked.map((index) => all[index]!.part)).toEqual(new Array(80).fill('locked'))
    expect(Object.keys(trained.weights)).toEqual([
      'bias',
      'reward',
      'verifier',
      'logProbability',
      'selfCertainty',
    ])
    const judge = openFusedJudge('judge-1', trained.model)
    const [right, wrong] = await judge.score([all[0]!.known, all[1]!.known])
    expect(right).toBeGreaterThan(wrong!)
    const other = all.map((one) =>
      one.part === 'heldOut' || one.part === 'locked'
        ? { ...one, answer: { ...one.answer, correct: !one.answer.correct } }
        : one,
    )
    expect(trainJudge(other)).toMatchObject({ trained: { weights: trained.weights } })
  })

  test('keeps the weights of the active judge until a fit is better', () => {
    const all = examples(80)
    const first = trainJudge(all)
    if ('skipped' in first) throw new Error(first.skipped)
    const active = decodeJudge('judge-1', first.trained.model)
    const again = trainJudge(examples(100), active)
    expect(again).toMatchObject({
      trained: { weights: first.trained.weights, options: { weightsKept: true } },
    })
    const useless = { ...active, features: active.features.map((one) => ({ ...one, weight: 0 })) }
    expect(trainJudge(all, useless)).toMatchObject({
      trained: { weights: first.trained.weights, options: { weightsKept: false } },
    })
  })

  test('is skipped for too little, and never reads the verdicts of the verifier as labels', () => {
    expect(trainJudge(examples(8))).toEqual({
      skipped: 'too few questions to fit a judge on: expected 8, got 4',
    })
    expect(trainJudge(examples(80, { source: 'self' }))).toEqual({
      skipped: 'too few questions to fit a judge on: expected 8, got 0',
    })
    const right = examples(80).filter(({ answer }) => answer.correct)
    expect(trainJudge(right)).toEqual({
      skipped: 'too few right or wrong answers to fit a judge on: expected 10 of each, got 0',
    })
  })
})
