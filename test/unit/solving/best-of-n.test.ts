import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import type { LatentRewardModel } from '#ports'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import type { World } from '../../support/linear-model.ts'
import { scriptedRewardModel } from '../../support/scripted-reward-model.ts'
import { route, solverOn } from '../../support/solve-in-memory.ts'

/** Each signal prefers another answer; d is the most certain, and has none. Samples say each about as often. */
const FOUR: World = {
  routes: {
    a: { ...route('1', 0.9), logProbability: -0.9, selfCertainty: 3 },
    b: { ...route('2', 0.5), logProbability: -0.1, selfCertainty: 4 },
    c: { ...route('3', 0.2), logProbability: -0.5, selfCertainty: 9 },
    d: { rest: ': 6 + 4', verdicts: { check: 0.1 }, logProbability: -0.01, selfCertainty: 20 },
  },
  firstLogits: { a: 1, b: 1, c: 1, d: 1 },
}
const MODEL = scriptedRewardModel({ a: 0.1, b: 0.2, c: 0.6, d: 0.9 })
const active = (rewardModel: LatentRewardModel | null) => () => ({ weaver: identityWeaver, rewardModel })
const REQUEST = { strategy: 'best-of-n', samples: 16, learn: false } as const

describe('best-of-n', () => {
  test.each([
    ['verifier', '1'],
    ['log-probability', '2'],
    ['self-certainty', '3'],
    ['lrm', '3'],
  ] as const)('returns the answered sample with the highest %s', async (selector, expected) => {
    const { solve } = solverOn(FOUR, { activeModels: active(MODEL) })
    for (const seed of [1, 2, 3]) {
      const solution = await solve({ ...REQUEST, selector, seed })
      expect(solution).toMatchObject({ answer: expected, base: null, evaluations: 16, degraded: [] })
    }
  })

  test('judges the same samples as majority and lto under one seed', async () => {
    const { solve } = solverOn(FOUR, { activeModels: active(MODEL) })
    const bank = async (some: object) => {
      const { candidates } = await solve({ ...REQUEST, seed: 5, explain: true, ...some })
      return candidates!.map(({ answer }) => answer)
    }
    const samples = await bank({ selector: 'lrm' })
    expect(new Set(samples).size).toBe(4)
    for (const other of [{ strategy: 'majority' }, { strategy: 'lto' }, { selector: 'log-probability' }])
      expect(await bank(other)).toEqual(samples)
  })

  test('falls back honestly where no model is active', async () => {
    const { solve } = solverOn(FOUR)
    expect(await solve({ ...REQUEST, selector: 'lrm' })).toMatchObject({ answer: '1', degraded: ['lrm'] })
    for (const selector of [undefined, 'judge'] as const) {
      const request = selector === undefined ? REQUEST : { ...REQUEST, selector }
      expect(await solve(request)).toMatchObject({ answer: '1', degraded: ['judge'] })
    }
  })

  test('returns a sample without an answer only where none has one', async () => {
    const { solve } = solverOn({ ...FOUR, firstLogits: { d: 5 } })
    expect(await solve({ ...REQUEST, selector: 'self-certainty' })).toMatchObject({ answer: null })
  })

  test('refuses the verifier as selector where it has no weight, so is never asked', async () => {
    const { solve } = solverOn(FOUR)
    await expect(solve({ ...REQUEST, selector: 'verifier', reward: { verifier: 0 } })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      faults: [{ pointer: '/reward/verifier' }],
    })
    expect(await solve({ ...REQUEST, selector: 'log-probability', reward: { verifier: 0 } })).toMatchObject({
      answer: '2',
    })
  })

  test('takes a vote when the time is up before the samples are judged', async () => {
    const timer = new AbortController()
    const world: World = {
      ...FOUR,
      firstLogits: { a: 1, b: 3 },
      before: (call) => void (call === 'score' && timer.abort()),
    }
    const { solve } = solverOn(world, { signal: timer.signal })
    await expect(solve({ ...REQUEST, selector: 'verifier' })).rejects.toMatchObject({ code: 'ABORTED' })
    const slow: World = {
      ...FOUR,
      firstLogits: { a: 1, b: 3 },
      before: (call) => (call === 'score' ? new Promise((done) => setTimeout(done, 400)) : undefined),
    }
    const late = await solverOn(slow).solve({ ...REQUEST, selector: 'verifier', budget: { maxMs: 200 } })
    expect(late).toMatchObject({ answer: '2', stopped: 'maxMs', reward: -1, degraded: [] })
  })
})

describe('a weighted majority', () => {
  const TWO: World = { ...FOUR, firstLogits: { a: 2.4, c: 1.2 } }
  const VOTE = { ...REQUEST, strategy: 'majority' } as const

  test('weighs each vote by the reward model, and says which version could influence the answer', async () => {
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(TWO, { activeModels: active(MODEL), episodes })
    expect(await solve(VOTE)).toMatchObject({ answer: '1', degraded: [] })
    const weighed = { ...VOTE, weights: 'lrm', learn: true } as const
    expect(await solve(weighed)).toMatchObject({ answer: '3', degraded: [] })
    await solve({ ...weighed, weights: 'none' })
    expect(episodes.added.map(({ lrmVersion }) => lrmVersion)).toEqual(['lrm-1', null])
  })

  test('falls back honestly where no model is active', async () => {
    const { solve } = solverOn(TWO)
    expect(await solve({ ...VOTE, weights: 'lrm' })).toMatchObject({ answer: '1', degraded: ['lrm'] })
    expect(await solve({ ...VOTE, weights: 'judge' })).toMatchObject({ answer: '1', degraded: ['judge'] })
  })
})
