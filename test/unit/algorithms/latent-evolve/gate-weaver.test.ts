import { describe, expect, test } from 'vitest'
import { gateWeaver, type TrialQuestion } from '#algorithms'
import { createRandom } from '#tensor'

const N = 120

/** Plain search results for `N` questions: two in five pass at once, others need steps; a few are wrong. */
function searched(count = N): TrialQuestion[] {
  const random = createRandom(3)
  return Array.from({ length: count }, (_, index) => {
    const firstPass = random.uniform() < 0.4
    return {
      question: `question ${index}`,
      reward: -0.05 - 0.05 * random.uniform(),
      correct: random.uniform() < 0.95,
      firstPass,
      iterations: firstPass ? 0 : 5,
      evaluations: firstPass ? 0 : 2,
      generatedTokens: firstPass ? 30 : 90,
    }
  })
}

/** Changes the results of the first `share` of the questions. */
function changed(
  trial: readonly TrialQuestion[],
  share: number,
  change: (one: TrialQuestion) => Partial<TrialQuestion>,
): TrialQuestion[] {
  return trial.map((one, index) => (index < share * trial.length ? { ...one, ...change(one) } : one))
}

const wovenAway = (one: TrialQuestion) => ({ ...one, firstPass: true, iterations: 0, evaluations: 1 })
const same = (trial: readonly TrialQuestion[]) => ({ candidate: trial, active: trial })

describe('a weaver is promoted', () => {
  test('when more answers pass without a step and none is worse', () => {
    const active = searched()
    const verdict = gateWeaver({
      candidate: changed(active, 0.5, wovenAway),
      active,
      guard: same(active),
      seed: 1,
    })

    expect(verdict.promoted).toBe(true)
    expect(verdict.reason).toMatch(/^firstPass rises: \+0\.\d+ \(0\.\d+ to 0\.\d+, n = 120\)/)
    const { metrics, baseline } = verdict
    expect(metrics['firstPass']!.value - baseline['firstPass']!.value).toBeCloseTo(
      metrics['firstPass.difference']!.value,
      12,
    )
    expect(metrics['accuracy']).toEqual(baseline['accuracy'])
    expect(metrics['generatedTokens']!.n).toBe(N)
    expect(Object.keys(metrics)).toEqual(
      expect.arrayContaining(['work', 'reward.difference', 'guard.reward', 'guard.firstPass.difference']),
    )
  })

  test('when only the work falls', () => {
    const active = searched()
    const candidate = changed(active, 1, ({ iterations }) => ({ iterations: iterations / 2 }))
    expect(gateWeaver({ candidate, active, guard: same(active), seed: 1 })).toMatchObject({
      promoted: true,
      reason: expect.stringMatching(/^steps and evaluations fall: -/),
    })
  })

  test('when accuracy rises though the work does too', () => {
    const active = changed(searched(), 0.3, () => ({ correct: false }))
    const candidate = changed(active, 0.3, ({ iterations }) => ({
      correct: true,
      iterations: iterations + 3,
    }))
    expect(gateWeaver({ candidate, active, guard: same(active), seed: 1 })).toMatchObject({
      promoted: true,
      reason: expect.stringMatching(/^accuracy rises/),
    })
  })

  test('by rewards when there are no labels, and by labels when there are some', () => {
    const active = changed(searched(), 1, () => ({ correct: null }))
    const candidate = changed(active, 0.5, wovenAway)
    const verdict = gateWeaver({ candidate, active, guard: same(active), seed: 1 })

    expect(verdict.promoted).toBe(true)
    expect(verdict.metrics).not.toHaveProperty('accuracy')

    const labelled = changed(active, 0.25, () => ({ correct: true }))
    const some = gateWeaver({ candidate: labelled, active: labelled, guard: same(active), seed: 1 })
    expect(some.metrics['accuracy']!.n).toBe(N / 4)
  })
})

describe('a weaver is rejected', () => {
  const active = searched()
  const better = changed(active, 0.5, wovenAway)

  test('when it changes nothing', () => {
    expect(gateWeaver({ ...same(active), guard: same(active), seed: 1 })).toMatchObject({
      promoted: false,
      reason: 'no measurable improvement over the active weaver',
    })
  })

  test.each([
    ['accuracy', { correct: false }],
    ['reward', { reward: -0.9 }],
    ['firstPass', { firstPass: false, iterations: 5 }],
  ] as const)('when it measurably loses %s, even if it gains elsewhere', (name, worse) => {
    // The other questions improve.
    const now = name === 'firstPass' ? changed(active, 1, wovenAway) : active
    const candidate = changed(name === 'firstPass' ? now : better, 0.2, () => worse)
    expect(gateWeaver({ candidate, active: now, guard: same(active), seed: 1 })).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(new RegExp(`^without memory, ${name} -.* is a loss$`)),
    })
  })

  test('when it loses with memory on', () => {
    const guard = { candidate: changed(active, 0.2, () => ({ correct: false })), active }
    expect(gateWeaver({ candidate: better, active, guard, seed: 1 })).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^with memory on, accuracy -.* is a loss$/),
    })
  })

  test('when few questions cannot exclude a large loss', () => {
    const few = searched(15).map((one) => ({ ...one, correct: true }))
    const candidate = changed(changed(few, 1, wovenAway), 0.1, () => ({ correct: false }))
    // Two of 15 is within noise: some resamples contain neither.
    const verdict = gateWeaver({ candidate, active: few, guard: same(few), seed: 1 })
    expect(verdict.metrics['accuracy.difference']!.high).toBe(0)
    expect(verdict).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/may lose more than 0.05/),
    })
  })

  test('when there are no held-out questions', () => {
    expect(gateWeaver({ ...same([]), guard: same([]), seed: 1 })).toMatchObject({ promoted: false })
    expect(gateWeaver({ candidate: better, active, guard: same([]), seed: 1 })).toMatchObject({
      promoted: false,
      reason: 'no held-out questions to judge by',
    })
    const two = searched(2)
    const verdict = gateWeaver({ candidate: two.map(wovenAway), active: two, guard: same(two), seed: 1 })
    expect(verdict).toMatchObject({ promoted: false, reason: expect.stringMatching(/^no measurable/) })
  })
})

test('one lost question in a hundred is within noise', () => {
  const active = searched()
  const candidate = changed(changed(active, 0.5, wovenAway), 1 / N, ({ correct }) => ({ correct: !correct }))
  expect(gateWeaver({ candidate, active, guard: same(active), seed: 1 }).promoted).toBe(true)
})

test('a significant but negligible difference decides nothing', () => {
  const active = searched()
  const by = (change: number) => changed(active, 1, ({ reward }) => ({ reward: reward + change }))

  const sure = gateWeaver({ candidate: by(0.001), active, guard: same(active), seed: 1 })
  expect(sure.metrics['reward.difference']!.low).toBeGreaterThan(0)
  expect(sure).toMatchObject({ promoted: false, reason: expect.stringMatching(/^no measurable/) })

  const candidate = changed(by(-0.001), 0.5, wovenAway)
  expect(gateWeaver({ candidate, active, guard: same(active), seed: 1 })).toMatchObject({ promoted: true })
})

test('a candidate no better than the active one is rarely promoted by chance', { timeout: 30_000 }, () => {
  const random = createRandom(9)
  let promoted = 0
  for (let trial = 0; trial < 24; trial++) {
    const draw = () =>
      Array.from({ length: 30 }, (_, index) => {
        const firstPass = random.uniform() < 0.8
        const iterations = firstPass ? 0 : 4
        return {
          question: `${index}`,
          reward: -0.1 * random.uniform(),
          correct: random.uniform() < 0.95,
          firstPass,
          iterations,
          evaluations: 1,
          generatedTokens: 40,
        }
      })
    promoted += Number(
      gateWeaver({
        candidate: draw(),
        active: draw(),
        guard: { candidate: draw(), active: draw() },
        seed: trial,
      }).promoted,
    )
  }
  // Three measures with a chance of 2.5 % each, less those that the guards reject.
  expect(promoted).toBeLessThanOrEqual(3)
})

test('refuses lists of different questions', () => {
  const active = searched()
  for (const candidate of [active.slice(1), active.toReversed()]) {
    expect(() => gateWeaver({ candidate, active, guard: same(active), seed: 1 })).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    )
  }
})
