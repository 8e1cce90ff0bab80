import { describe, expect, test } from 'vitest'
import { gateWeaver, type TrialQuestion } from '#algorithms'
import { createRandom } from '#tensor'

const N = 200

/** Plain search results for `N` questions: two in five pass at once, others need steps; a few are wrong. */
function searched(count = N): TrialQuestion[] {
  const random = createRandom(3)
  return Array.from({ length: count }, (_, index) => {
    const firstPass = random.uniform() < 0.4
    return {
      question: `question ${index}`,
      tenantId: 'tenant-a',
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
      anchor: null,
    })

    expect(verdict.promoted).toBe(true)
    expect(verdict.reason).toMatch(/^firstPass rises: \+0\.\d+ \(0\.\d+ to 0\.\d+, n = 400\)/)
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
    expect(gateWeaver({ candidate, active, guard: same(active), anchor: null })).toMatchObject({
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
    expect(gateWeaver({ candidate, active, guard: same(active), anchor: null })).toMatchObject({
      promoted: true,
      reason: expect.stringMatching(/^accuracy rises/),
    })
  })

  test('by rewards when there are no labels, and by labels when there are some', () => {
    const active = changed(searched(), 1, () => ({ correct: null }))
    const candidate = changed(active, 0.5, wovenAway)
    const verdict = gateWeaver({ candidate, active, guard: same(active), anchor: null })

    expect(verdict.promoted).toBe(true)
    expect(verdict.metrics).not.toHaveProperty('accuracy')

    expect(verdict.reason).toMatch(/judged by the verifier, with 0 labels$/)

    const labelled = changed(active, 0.25, () => ({ correct: true }))
    const some = gateWeaver({ candidate: labelled, active: labelled, guard: same(active), anchor: null })
    expect(some.metrics['accuracy']!.n).toBe(N / 4)
  })
})

describe('a weaver is rejected', () => {
  const active = searched()
  const better = changed(active, 0.5, wovenAway)

  test('when it changes nothing', () => {
    expect(gateWeaver({ ...same(active), guard: same(active), anchor: null })).toMatchObject({
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
    expect(gateWeaver({ candidate, active: now, guard: same(active), anchor: null })).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(new RegExp(`^without memory, ${name} -.* is a loss$`)),
    })
  })

  test('when it loses with memory on', () => {
    const guard = { candidate: changed(active, 0.2, () => ({ correct: false })), active }
    expect(gateWeaver({ candidate: better, active, guard, anchor: null })).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^with memory on, accuracy -.* is a loss$/),
    })
  })

  test('when few questions cannot exclude a large loss', () => {
    const few = searched(60).map((one) => ({ ...one, correct: true }))
    const candidate = changed(changed(few, 1, wovenAway), 0.03, () => ({ correct: false }))
    const verdict = gateWeaver({ candidate, active: few, guard: same(few), anchor: null })
    expect(verdict).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^accuracy .* may lose 0.03 or more$/),
    })
  })

  test('when it is within the margin of the active version, but not of the anchor', () => {
    const anchor = changed(active, 0.3, () => ({ reward: -0.001 }))
    const candidate = changed(better, 0.3, () => ({ reward: -0.2 }))
    const now = changed(active, 0.3, () => ({ reward: -0.2 }))
    expect(gateWeaver({ candidate, active: now, guard: same(now), anchor: null }).promoted).toBe(true)
    expect(gateWeaver({ candidate, active: now, guard: same(now), anchor })).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^against the anchor, reward -/),
    })
  })

  test('when accuracy rises by the labels of one tenant alone', () => {
    const asked = changed(active, 0.2, () => ({ tenantId: 'liar', correct: false }))
    const candidate = changed(asked, 0.2, () => ({ correct: true }))
    expect(gateWeaver({ candidate, active: asked, guard: same(asked), anchor: null })).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^no measurable/),
    })
  })

  test('when the labels of one tenant hide a loss of the others', () => {
    const asked = changed(searched(300), 0.2, () => ({ tenantId: 'liar', correct: false }))
    const learned = changed(asked, 0.2, () => ({ correct: true }))
    const candidate = learned.map((one, index) => (index % 25 === 24 ? { ...one, correct: false } : one))
    const saving = candidate.map((one) => ({ ...one, iterations: one.iterations / 2 }))
    expect(gateWeaver({ candidate: saving, active: asked, guard: same(asked), anchor: null })).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/^without the labels of one tenant, accuracy -/),
    })
  })

  test('when there are no held-out questions', () => {
    expect(gateWeaver({ ...same([]), guard: same([]), anchor: null })).toMatchObject({ promoted: false })
    expect(gateWeaver({ candidate: better, active, guard: same([]), anchor: null })).toMatchObject({
      promoted: false,
      reason: 'no held-out questions to judge by',
    })
    const two = searched(2)
    const verdict = gateWeaver({ candidate: two.map(wovenAway), active: two, guard: same(two), anchor: null })
    expect(verdict).toMatchObject({
      promoted: false,
      reason: expect.stringMatching(/fewer than 30 questions/),
    })
  })
})

test('one lost question in a hundred is within noise', () => {
  const active = searched()
  const candidate = changed(changed(active, 0.5, wovenAway), 1 / N, ({ correct }) => ({ correct: !correct }))
  expect(gateWeaver({ candidate, active, guard: same(active), anchor: null }).promoted).toBe(true)
})

test('a significant but negligible difference decides nothing', () => {
  const active = searched()
  const by = (change: number) => changed(active, 1, ({ reward }) => ({ reward: reward + change }))

  const sure = gateWeaver({ candidate: by(0.001), active, guard: same(active), anchor: null })
  expect(sure.metrics['reward.difference']!.low).toBeGreaterThan(0)
  expect(sure).toMatchObject({ promoted: false, reason: expect.stringMatching(/^no measurable/) })

  const candidate = changed(by(-0.001), 0.5, wovenAway)
  expect(gateWeaver({ candidate, active, guard: same(active), anchor: null })).toMatchObject({
    promoted: true,
  })
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
          tenantId: 'tenant-a',
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
        anchor: null,
      }).promoted,
    )
  }
  // Three measures with a chance of 2.5 % each, less those that the guards reject.
  expect(promoted).toBeLessThanOrEqual(3)
})

test('refuses lists of different questions', () => {
  const active = searched()
  for (const candidate of [active.slice(1), active.toReversed()]) {
    expect(() => gateWeaver({ candidate, active, guard: same(active), anchor: null })).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    )
  }
})

test('a handful of labels neither vetoes nor promotes', () => {
  const active = changed(searched(), 1, () => ({ correct: null }))
  const labels = (correct: boolean) => (one: TrialQuestion, index: number) =>
    index < 20 ? { ...one, correct } : one
  const better = changed(active, 0.5, wovenAway)
  const vetoed = { candidate: better.map(labels(false)), active: active.map(labels(true)) }
  expect(gateWeaver({ ...vetoed, guard: same(active), anchor: null }).promoted).toBe(true)
  const praised = { candidate: active.map(labels(true)), active: active.map(labels(false)) }
  expect(gateWeaver({ ...praised, guard: same(active), anchor: null }).promoted).toBe(false)
})

test('near-duplicates count once', () => {
  const one = searched(1)[0]!
  const copies = Array.from({ length: N }, () => ({ ...one, cluster: 'same' }))
  const verdict = gateWeaver({
    candidate: copies.map(wovenAway),
    active: copies,
    guard: same(copies),
    anchor: null,
  })
  expect(verdict.reason).toMatch(/fewer than 30 questions/)
})

test('asks for more questions while it is undecided, and decides at the last look', () => {
  const active = searched(60)
  const candidate = changed(active, 0.5, wovenAway)
  const trial = { candidate, active, guard: same(active), anchor: null }
  expect(gateWeaver({ ...trial, look: { index: 1, count: 3 } }).decision).toBe('continue')
  expect(gateWeaver({ ...trial, look: { index: 3, count: 3 } }).decision).not.toBe('continue')
  const lost = { ...trial, candidate: active.map((one) => ({ ...one, reward: -1 })) }
  expect(gateWeaver({ ...lost, look: { index: 1, count: 3 } }).decision).toBe('reject')
})

test('becomes the anchor when its accuracy rises, and not when it only saves work', () => {
  const active = changed(searched(), 0.3, () => ({ correct: false }))
  const judge = (candidate: readonly TrialQuestion[]) =>
    gateWeaver({ candidate, active, guard: same(active), anchor: null })
  expect(judge(changed(active, 0.5, wovenAway))).toMatchObject({ promoted: true, isAnchor: false })
  const better = changed(active, 0.3, () => ({ correct: true }))
  expect(judge(better)).toMatchObject({ promoted: true, isAnchor: true })
  const unlabelled = (trial: readonly TrialQuestion[]) => changed(trial, 1, () => ({ correct: null }))
  const candidate = changed(unlabelled(active), 1, ({ reward }) => ({ reward: reward / 2 }))
  expect(
    gateWeaver({ candidate, active: unlabelled(active), guard: same(active), anchor: null }),
  ).toMatchObject({ promoted: true, isAnchor: true })
})
