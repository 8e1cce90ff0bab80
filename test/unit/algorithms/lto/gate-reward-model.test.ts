import { expect, test } from 'vitest'
import { gateRewardModel, type ScoredAnswer } from '#algorithms'
import { createRandom } from '#tensor'

/** 4 answers to each of `questions`; the scores are the labels with `noise` added to their logits. */
function answers(questions: number, noise: number, seed: number): ScoredAnswer[] {
  const truth = createRandom(1)
  const blur = createRandom(2, seed)
  return Array.from({ length: questions * 4 }, (_, index) => {
    const correct = truth.uniform() < 0.5
    const logit = (correct ? 1 : -1) + noise * blur.gaussian()
    return { question: `q${index % questions}`, score: 1 / (1 + Math.exp(-logit)), correct }
  })
}
const scores = (given: readonly ScoredAnswer[]) => given.map(({ score }) => score)

test('a first model is promoted when its AUC interval is above chance', () => {
  const verdict = gateRewardModel({ answers: answers(100, 1, 1), active: null, seed: 1 })
  expect(verdict.promoted).toBe(true)
  expect(Object.keys(verdict.metrics)).toEqual(['auc', 'f1', 'accuracy', 'ece'])
  expect(verdict.metrics['auc']).toMatchObject({ n: 400, low: expect.any(Number), high: expect.any(Number) })
  expect(verdict.baseline).toEqual({})
})

test('a first model is rejected when its AUC may be chance, or answers are too few', () => {
  const blind = gateRewardModel({ answers: answers(100, 100, 1), active: null, seed: 1 })
  expect(blind).toMatchObject({ promoted: false, reason: expect.stringContaining('not surely above .5') })
  const oneQuestion = answers(1, 0.1, 1).map((answer, index) => ({ ...answer, correct: index < 2 }))
  expect(gateRewardModel({ answers: oneQuestion, active: null, seed: 1 }).promoted).toBe(false)
})

test('a later model is promoted when it is better or as good', () => {
  const active = scores(answers(200, 1.5, 1))
  const better = gateRewardModel({ answers: answers(200, 1, 2), active, seed: 1 })
  expect(better.promoted).toBe(true)
  expect(better.metrics['auc.difference']!.low).toBeGreaterThan(0)
  expect(better.baseline['auc']!.value).toBeLessThan(better.metrics['auc']!.value)
  const nudged = active.map((score, index) => score + (index % 2) * 1e-3)
  expect(gateRewardModel({ answers: answers(200, 1.5, 1), active: nudged, seed: 1 }).promoted).toBe(true)
})

test('a later model is rejected when it is measurably worse, even with a high AUC', () => {
  const verdict = gateRewardModel({
    answers: answers(400, 1.2, 1),
    active: scores(answers(400, 1, 2)),
    seed: 1,
  })
  expect(verdict.metrics['auc']!.low).toBeGreaterThan(0.8)
  expect(verdict.metrics['auc.difference']!.high).toBeLessThan(0)
  expect(verdict).toMatchObject({ promoted: false, reason: expect.stringContaining('is a loss') })
})

test('a loss that few answers cannot distinguish from none is accepted only while it is small', () => {
  const few = answers(12, 1.2, 4)
  const rival = answers(12, 0.9, 1)
  const verdict = gateRewardModel({ answers: few, active: scores(rival), seed: 1 })
  const { value, high } = verdict.metrics['auc.difference']!
  expect(value).toBeLessThan(-0.02)
  expect(high).toBeGreaterThanOrEqual(0)
  expect(verdict).toMatchObject({ promoted: false, reason: expect.stringContaining('may lose') })
})

test('a candidate with the same scores is rejected', () => {
  const given = answers(50, 1, 1)
  expect(gateRewardModel({ answers: given, active: scores(given), seed: 1 })).toMatchObject({
    promoted: false,
    reason: expect.stringContaining('as the active one'),
  })
})

test('scores that are not numbers, and too few scores, are refused', () => {
  const given = answers(20, 1, 1)
  for (const active of [scores(given).slice(1), scores(given).fill(Number.NaN)]) {
    expect(() => gateRewardModel({ answers: given, active, seed: 1 })).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    )
  }
})
