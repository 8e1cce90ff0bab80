import { describe, expect, test } from 'vitest'
import type { JudgedSample } from '#evaluation'
import { createRandom } from '#tensor'
import { chooseSelector } from '../../../src/profiling/choose-selector.ts'
import {
  type BankRecord,
  measurePolicy,
  type PolicyMeasurement,
} from '../../../src/profiling/measure-policy.ts'

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

test('returns the draft where nothing pays, and has no policy of few problems', () => {
  const stop = [{ from: 0, strategy: 'greedy' }]
  expect(measurePolicy(measured(300, false), 1, 2)?.policy).toMatchObject({
    low: stop,
    medium: stop,
    high: stop,
  })
  expect(measurePolicy(measured(29, true), 1, 2)).toBeNull()
})

describe('the selector', () => {
  /** A right sample beside a wrong one, of `pleasing` problems the more likely one, of the others that of the higher reward. */
  const banks = (pleasing: number, others: number): BankRecord[] =>
    [...Array(pleasing).fill(true), ...Array(others).fill(false)].map((isLikely: boolean) => ({
      samples: [
        sample(true, { logProbability: isLikely ? -0.1 : -0.9, reward: isLikely ? -0.9 : -0.1 }),
        sample(false),
      ],
      tokens: 44,
    }))

  test('stays the own one unless another is better by more than a standard error', () => {
    expect(chooseSelector(banks(22, 18), 'reward')?.chosen).toBe('reward')
    const changed = chooseSelector(banks(30, 10), 'reward')!
    expect(changed).toMatchObject({ problems: 40, chosen: 'log-probability' })
    expect(changed.rows).toContainEqual({ name: 'log-probability', accuracy: 0.75 })
    expect(changed.rows).toContainEqual({ name: 'reward', accuracy: 0.25 })
    expect(chooseSelector(banks(10, 30), 'log-probability')?.chosen).toBe('reward')
  })

  test('is not chosen on few problems where it matters', () => {
    const same = { samples: [sample(false), sample(false)], tokens: 44 }
    expect(chooseSelector([...banks(29, 0), ...Array(40).fill(same)], 'reward')).toBeNull()
  })
})
