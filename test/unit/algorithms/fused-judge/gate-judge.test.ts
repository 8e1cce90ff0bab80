import { describe, expect, test } from 'vitest'
import { type GateAnswer, gateJudge, type JudgeExample, openFusedJudge, trainJudge } from '#algorithms'
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

  test('bears more doubt about the order of the first version than of a later one', () => {
    // Nearly the same order.
    const random = createRandom(5)
    const active = { order: scoresOf(answersOf(80, 1)), probability: new Array<number>(320).fill(0.9) }
    const answers = answersOf(80, 1).map((one) => ({ ...one, score: one.score + 0.05 * random.gaussian() }))
    const first = gateJudge({ ...trial, answers, active })
    const { low, high } = first.metrics['withinAuc.difference']!
    expect([low! < -0.01, low! > -0.05, high! > 0]).toEqual([true, true, true])
    expect(first.promoted).toBe(true)
    const later = gateJudge({ ...trial, answers, active, hasActive: true })
    expect(later.reason).toMatch(/AUC against the active one .* may lose 0\.01 or more/)
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
})

describe('a training', () => {
  function examples(questions: number, over: Partial<JudgeExample> = {}): JudgeExample[] {
    return answersOf(questions, 1).map(({ score, ...answer }, index) => ({
      answer,
      known: {
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
      ...over,
    }))
  }

  test('fits what it may see, and names what it is judged on', async () => {
    const all = examples(80)
    const result = trainJudge(all)
    if ('skipped' in result) throw new Error(result.skipped)
    const { trained } = result
    expect(trained.options).toEqual({ answers: 160, questions: 40 })
    expect(trained.heldOut.map((index) => all[index]!.part)).toEqual(new Array(80).fill('heldOut'))
    expect(trained.locked.map((index) => all[index]!.part)).toEqual(new Array(80).fill('locked'))
    expect(Object.keys(trained.weights)).toEqual(['bias', 'verifier', 'logProbability', 'selfCertainty'])
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
