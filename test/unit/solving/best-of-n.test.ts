import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import type { SolveDefaults } from '#engine'
import type { FusedJudge, LatentRewardModel } from '#ports'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, type World } from '../../support/linear-model.ts'
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
const withSelector = (world: World, selector: SolveDefaults['selector']): World => ({
  ...world,
  profile: { defaults: { ...TEST_PROFILE.defaults, selector } },
})
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
    for (const selector of ['lrm', 'judge'] as const) {
      expect(await solve({ ...REQUEST, selector })).toMatchObject({ answer: '1', degraded: [selector] })
    }
  })

  test.each([
    ['reward', '1'],
    ['log-probability', '2'],
    ['self-certainty', '3'],
  ] as const)(
    'chooses by the %s of the profile where the request names no selector',
    async (selector, expected) => {
      const { solve } = solverOn(withSelector(FOUR, selector))
      expect(await solve(REQUEST)).toMatchObject({ answer: expected, degraded: [] })
    },
  )

  test('chooses by the reward where the request weighs it, and by the fused judge once there is one', async () => {
    const world = withSelector(FOUR, 'log-probability')
    expect(await solverOn(world).solve({ ...REQUEST, reward: { verifier: 1 } })).toMatchObject({
      answer: '1',
    })
    const judge: FusedJudge = {
      version: 'judge-1',
      policy: null,
      score: async (answers) => answers.map(({ selfCertainty }) => (selfCertainty === 9 ? 0.9 : 0.1)),
    }
    const activeModels = () => ({ weaver: identityWeaver, rewardModel: null, judge })
    for (const request of [REQUEST, { ...REQUEST, reward: { verifier: 1 } }]) {
      expect(await solverOn(world, { activeModels }).solve(request)).toMatchObject({ answer: '3' })
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

describe('a tie of votes', () => {
  const EVEN: World = { ...FOUR, firstLogits: { a: 1, b: 1 } }
  const TIED = { ...REQUEST, strategy: 'majority', samples: 2 } as const

  test.each([
    ['reward', '1'],
    ['log-probability', '2'],
  ] as const)('is broken by the %s that the profile names', async (selector, expected) => {
    const world = withSelector(EVEN, selector)
    for (let seed = 1; seed <= 8; seed++) {
      const { answer, candidates } = await solverOn(world).solve({ ...TIED, explain: true, seed })
      const given = candidates!.map((candidate) => candidate.answer)
      expect(answer, given.join()).toBe(new Set(given).size === 2 ? expected : given[0])
    }
  })

  test('is broken by the reward where the request weighs it', async () => {
    const world = withSelector(EVEN, 'log-probability')
    const solutions = await Promise.all(
      [1, 2, 3, 4, 5, 6, 7, 8].map((seed) =>
        solverOn(world).solve({ ...TIED, explain: true, seed, reward: { verifier: 1 } }),
      ),
    )
    const tied = solutions.filter(
      ({ candidates }) => new Set(candidates!.map(({ answer }) => answer)).size === 2,
    )
    expect(new Set(tied.map(({ answer }) => answer))).toEqual(new Set(['1']))
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
