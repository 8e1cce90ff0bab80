/** @file A short run of `npm run bench:gate`: what the gates promote when the true effect is known. */

import { describe, expect, test } from 'vitest'
import { createRandom } from '#tensor'
import {
  countPromoted,
  driftOf,
  judgeRewardModelNight,
  judgeWeaverNight,
} from '../../../bench/gate/simulate.ts'

const RUNS = 120
/** At most 5 % of the runs, with three standard errors of chance on top. */
const RARELY = RUNS * (0.05 + 3 * Math.sqrt((0.05 * 0.95) / RUNS))
const active = { accuracy: 0.7 }
const SAVING = 0.725

describe('the gate of the weaver', () => {
  test.each([
    ['loses .03 of accuracy', 0.67],
    ['loses .05 of accuracy', 0.65],
  ])('rejects a candidate that saves half of the searches and %s', (_name, accuracy) => {
    const night = { candidate: { accuracy, firstPass: SAVING }, active }
    expect(countPromoted(RUNS, (random) => judgeWeaverNight(night, random))).toBeLessThanOrEqual(RARELY)
  })

  test('promotes a gain of .05 in accuracy', () => {
    const night = { candidate: { accuracy: 0.75 }, active, ownGuard: true }
    expect(countPromoted(RUNS, (random) => judgeWeaverNight(night, random))).toBeGreaterThan(0.68 * RUNS)
  })

  test('rejects a candidate that repeats the false answers of one tenant and loses elsewhere', () => {
    const night = {
      candidate: { accuracy: 0.67, firstPass: SAVING, liarAccuracy: 1 },
      active: { ...active, liarAccuracy: 0 },
      liarShare: 0.2,
    }
    expect(countPromoted(RUNS, (random) => judgeWeaverNight(night, random))).toBeLessThanOrEqual(RARELY)
  })

  test('loses no more than the margin over 30 nights of candidates that save work and lose accuracy', () => {
    const changes = Array.from({ length: 5 }, (_, run) => {
      const random = createRandom(run, 7)
      const judge = ({ active: now, anchor, effect }: Parameters<Parameters<typeof driftOf>[2]>[0]) =>
        judgeWeaverNight(
          {
            candidate: { accuracy: now + effect, firstPass: SAVING },
            active: { accuracy: now },
            anchor: { accuracy: anchor },
          },
          random,
        )
      return driftOf(30, 0.7, judge, () => -0.03 * random.uniform()).change
    })
    expect(changes.reduce((sum, change) => sum + change, 0) / changes.length).toBeGreaterThan(-0.04)
  })
})

describe('the gate of the reward model', () => {
  test.each([
    ['loses .01 of within-question AUC', { candidate: 0.84, active: 0.85 }],
    ['loses .02 of within-question AUC', { candidate: 0.83, active: 0.85 }],
    ['knows only how hard a question is', { candidate: 'difficulty', active: null }],
  ] as const)('rejects a candidate that %s', (_name, night) => {
    expect(countPromoted(RUNS, (random) => judgeRewardModelNight(night, random))).toBeLessThanOrEqual(RARELY)
  })

  test('promotes a gain of .03 in within-question AUC', () => {
    const night = { candidate: 0.88, active: 0.85 }
    expect(countPromoted(RUNS, (random) => judgeRewardModelNight(night, random))).toBeGreaterThan(0.7 * RUNS)
  })
})
