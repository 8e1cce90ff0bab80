import { expect, test } from 'vitest'
import type { JudgedSample } from '#evaluation'
import { createRandom } from '#tensor'
import { measurePolicy, type PolicyMeasurement } from '../../../src/profiling/measure-policy.ts'

const sample = (right: boolean, over: Partial<JudgedSample> = {}): JudgedSample => ({
  kind: 'sample',
  answer: right ? '7' : '5',
  right,
  reward: -0.5,
  rewardTerms: { verifier: -0.5, 'verifier.correctness': -0.5 },
  tokens: 20,
  logProbability: -0.5,
  selfCertainty: 5,
  confidence: null,
  lrm: null,
  ...over,
})

/** Drafts that are right with the judge's probability; samples that the vote gets right below .5, or never. */
function measured(count: number, votes: boolean): PolicyMeasurement[] {
  const random = createRandom(2)
  return Array.from({ length: count }, (_, index) => {
    const confidence = (index % 50) / 50
    const isVoted = votes && confidence < 0.5
    return {
      draft: {
        right: random.uniform() < confidence,
        isWhole: true,
        tokens: 20,
        format: 0,
        verdicts: [0.9, confidence],
      },
      bank: {
        samples: Array.from({ length: 8 }, (_, place) => sample(isVoted && place < 5)),
        tokens: 8 * 22,
      },
    }
  })
}

test('takes the arm that pays below a threshold, for the efforts that can pay for it', () => {
  const choice = measurePolicy(measured(300, true), 1, 2)!
  expect(choice).toMatchObject({ questions: 300, draftTokens: 22 })
  const { policy, rows } = choice
  expect(policy?.signal).toBe('verifier')
  const medium = policy?.medium ?? []
  expect(medium.map(({ strategy }) => strategy)).toEqual(['majority', 'greedy'])
  // The first two samples agree: the cheapest vote is as good.
  expect(medium[0]).toMatchObject({ from: 0, samples: 2, tokens: 22 + (2 * 8 * 22) / 8 })
  expect(medium[1]?.from).toBeCloseTo(0.5, 1)
  expect(medium[0]!.accuracy).toBeGreaterThan(medium[0]!.draftAccuracy! + 0.5)
  expect(rows.map(({ price }) => price)).toEqual([0.02, 0.01, 0.003])
  for (const { isTaken, gain } of rows) if (isTaken) expect(gain.value).toBeGreaterThan(0)
})

test('has no policy where nothing pays, and none of few problems', () => {
  expect(measurePolicy(measured(300, false), 1, 2)?.policy).toBeNull()
  expect(measurePolicy(measured(29, true), 1, 2)).toBeNull()
})
