import { describe, expect, test } from 'vitest'
import { type GateAnswer, gateRewardModel } from '#algorithms'
import { createRandom } from '#tensor'

const SAMPLES = 8

/**
 * 8 answers to each of `questions`, of which a share that varies by question is right. The scores are the
 * labels with `noise` added to their logits, `byDifficulty` times the question's share on top.
 */
function answers(
  questions: number,
  noise: number,
  { seed = 1, byDifficulty = 0 }: { seed?: number; byDifficulty?: number } = {},
): GateAnswer[] {
  const truth = createRandom(1)
  const blur = createRandom(2, seed)
  return Array.from({ length: questions }, (_, index) => {
    const share = truth.uniform()
    return Array.from({ length: SAMPLES }, (_, sample) => {
      const correct = truth.uniform() < share
      const logit = (correct ? 1 : -1) + noise * blur.gaussian() + byDifficulty * (share - 0.5)
      return {
        question: `q${index}`,
        episodeId: `e${index}`,
        tenantId: 'tenant-a',
        answer: correct ? 'right' : `wrong ${sample}`,
        verifier: null,
        byMajority: false,
        score: 1 / (1 + Math.exp(-logit)),
        correct,
      }
    })
  }).flat()
}

const scores = (given: readonly GateAnswer[]) => given.map(({ score }) => score)
const first = (given: readonly GateAnswer[]) =>
  gateRewardModel({ answers: given, active: null, anchor: null, seed: 1 })

describe('a first model', () => {
  test('is promoted when it orders the answers of a question', () => {
    const verdict = first(answers(100, 1))
    expect(verdict).toMatchObject({ promoted: true, isAnchor: true, baseline: {} })
    expect(Object.keys(verdict.metrics)).toEqual(
      expect.arrayContaining(['auc', 'f1', 'accuracy', 'ece', 'withinAuc', 'choice', 'choice.overRandom']),
    )
  })

  test('is rejected when it knows only how hard a question is, whatever its AUC over all answers', () => {
    const given = answers(150, 1)
    const share = new Map(
      [...Map.groupBy(given, ({ question }) => question)].map(([question, own]) => [
        question,
        own.filter(({ correct }) => correct).length / own.length,
      ]),
    )
    const verdict = first(given.map((one) => ({ ...one, score: share.get(one.question)! })))
    expect(verdict.metrics['auc']!.low).toBeGreaterThan(0.75)
    expect(verdict).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^within-question AUC 0.500/),
    })
  })

  test('is rejected when its order may be chance, or mixed questions are too few', () => {
    expect(first(answers(100, 100))).toMatchObject({
      promoted: false,
      reason: expect.stringContaining('not surely above .5'),
    })
    expect(first(answers(20, 0.1))).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^too few questions with right and wrong answers: expected 30/),
    })
  })

  test("is rejected when the verifier's choice is better", () => {
    const given = answers(100, 3).map((one) => ({ ...one, verifier: one.correct ? -0.1 : -0.9 }))
    expect(first(given)).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^its choice over the verifier's -/),
    })
  })

  test('is not compared with the majority by labels that the majority gave', () => {
    const given = answers(100, 1).map((one) => ({ ...one, byMajority: true }))
    expect(first(given).metrics).not.toHaveProperty('choice.overMajority')
  })
})

describe('a later model', () => {
  const given = answers(200, 1.5)
  const judge = (candidate: readonly GateAnswer[], active: readonly GateAnswer[], anchor = active) =>
    gateRewardModel({
      answers: candidate,
      active: scores(active),
      anchor: anchor === active ? null : scores(anchor),
      seed: 1,
    })

  test('is promoted when it orders answers better, and becomes the anchor', () => {
    const verdict = judge(answers(200, 1, { seed: 2 }), given)
    expect(verdict).toMatchObject({ promoted: true, isAnchor: true })
    expect(verdict.metrics['withinAuc.difference']!.low).toBeGreaterThan(0)
    expect(verdict.baseline['withinAuc']!.value).toBeLessThan(verdict.metrics['withinAuc']!.value)
  })

  test('is rejected when it is only as good, or worse', () => {
    expect(judge(given, given)).toMatchObject({
      promoted: false,
      reason: 'no measurable improvement over the active one',
    })
    expect(judge(answers(200, 1.8, { seed: 2 }), answers(200, 1, { seed: 3 }))).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^within-question AUC against the active one -.* may lose 0.01 or more$/),
    })
  })

  test('is rejected when it is better than the active one, but worse than the anchor', () => {
    const verdict = judge(answers(200, 2, { seed: 2 }), answers(200, 4, { seed: 3 }), answers(200, 1))
    expect(verdict).toMatchObject({
      promoted: false,
      isAnchor: false,
      reason: expect.stringMatching(/^within-question AUC against the anchor -/),
    })
  })

  test('is rejected when it is better on the answers of one tenant alone', () => {
    const isOwn = (index: number) => index < 30 * SAMPLES
    const active = given.map((one, index) => (isOwn(index) ? { ...one, tenantId: 'liar' } : one))
    const candidate = active.map((one, index) =>
      isOwn(index) ? { ...one, score: Number(one.correct) } : one,
    )
    expect(judge(candidate, active)).toMatchObject({ promoted: false })
    expect(
      judge(
        candidate.map((one) => ({ ...one, tenantId: 'tenant-a' })),
        active,
      ).promoted,
    ).toBe(true)
  })
})

test('scores that are not numbers, and too few scores, are refused', () => {
  const given = answers(40, 1)
  for (const active of [scores(given).slice(1), scores(given).fill(Number.NaN)]) {
    expect(() => gateRewardModel({ answers: given, active, anchor: null, seed: 1 })).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    )
  }
})

test('no number of labels by majority outvotes those of callers', () => {
  const given = answers(240, 1)
  const isByMajority = ({ question }: GateAnswer) => Number(question.slice(1)) >= 60
  const better = answers(240, 0.2, { seed: 2 })
  const worse = answers(240, 1.8, { seed: 3 })
  // Better by the labels of majorities, worse by those of callers.
  const candidate = given.map((one, index) => ({
    ...one,
    byMajority: isByMajority(one),
    score: (isByMajority(one) ? better : worse)[index]!.score,
  }))
  const judged = (callers: boolean) =>
    gateRewardModel({
      answers: callers ? candidate : candidate.map((one) => ({ ...one, byMajority: false })),
      active: scores(given),
      anchor: null,
      seed: 1,
    })
  expect(judged(false)).toMatchObject({ promoted: true })
  expect(judged(true).reason).toMatch(
    /AUC against the active one by the labels of callers alone -.* is lower/,
  )
})
