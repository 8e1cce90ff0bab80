import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import type { Policy } from '#engine'
import { TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { GOOD_DRAFT, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

/** Answers that the verifier is sure of are returned, doubtful drafts are forked, the worst lose a vote. */
const POLICY: Policy = {
  signal: 'verifier',
  medium: [
    { from: 0, strategy: 'majority', samples: 5 },
    { from: 0.05, strategy: 'fork', samples: 4 },
    { from: 0.8, strategy: 'greedy', questions: 40, accuracy: 0.9, draftAccuracy: 0.9, tokens: 12 },
  ],
  high: [{ from: 0, strategy: 'best-of-n', samples: 3, selector: 'verifier' }],
}

const under = (world: World, policy: Policy = POLICY): World => ({
  ...world,
  profile: { defaults: { ...TEST_PROFILE.defaults, policy } },
})
const auto = { strategy: 'auto' } as const

describe('auto under a policy', () => {
  test('returns a draft that is sure enough, and says by which band', async () => {
    const { solve, engine } = solverOn(under(GOOD_DRAFT))
    const solution = await solve(auto)
    expect(solution).toMatchObject({
      answer: '1',
      stopped: 'reward',
      evaluations: 0,
      policy: { strategy: 'greedy', from: 0.8 },
    })
    expect(solution.policy?.confidence).toBeCloseTo(0.95, 6)
    expect(engine.calls).toMatchObject({ generate: 1, ascend: 0, likelyTokens: 0 })
  })

  test('forks a doubtful draft without decoding it again', async () => {
    const { solve, engine } = solverOn(under(TWO_FLIPS))
    const solution = await solve({ ...auto, learn: false })
    expect(solution).toMatchObject({
      answer: '3',
      base: { answer: '1' },
      policy: { strategy: 'fork', from: 0.05 },
    })
    expect(engine.asked.filter(({ prefix }) => prefix.length === 0)).toHaveLength(1)
    expect(engine.calls).toMatchObject({ ascend: 0, likelyTokens: 1 })
  })

  test('lets samples vote, with the number of the policy, and keeps the draft as the base', async () => {
    const hopeless = {
      ...TWO_FLIPS,
      routes: { ...TWO_FLIPS.routes, a: { ...TWO_FLIPS.routes['a']!, verdicts: { check: 0.01 } } },
    }
    const { solve, engine } = solverOn(under(hopeless))
    const solution = await solve({ ...auto, samples: 2 })
    expect(solution).toMatchObject({
      base: { answer: '1' },
      evaluations: 5,
      policy: { strategy: 'majority', from: 0 },
    })
    expect(engine.asked).toHaveLength(6)
  })

  test('has the bands of the effort of the request', async () => {
    const solution = await solverOn(under(TWO_FLIPS)).solve({ ...auto, effort: 'high' })
    expect(solution).toMatchObject({ evaluations: 3, policy: { strategy: 'best-of-n', from: 0 } })
  })

  test.each([
    ['an effort without bands', POLICY, { ...auto, effort: 'low' }],
    ['a signal that nothing gives', { ...POLICY, signal: 'judge' }, auto],
    ['another strategy', POLICY, { strategy: 'latentseek' }],
    ['a policy that searches', { signal: 'verifier', medium: [{ from: 0, strategy: 'latentseek' }] }, auto],
  ] as const)('%s searches as ever', async (_, policy, request) => {
    const usual = await solverOn(TWO_FLIPS).solve(request)
    const { policy: step, ...solution } = await solverOn(under(TWO_FLIPS, policy as Policy)).solve(request)
    const same = ({ answer, stopped, iterations, rewardHistory, usage }: typeof usual) => ({
      answer,
      stopped,
      iterations,
      rewardHistory,
      usage,
    })
    expect(same(solution)).toEqual(same(usual))
    expect(step?.strategy).toBe(policy.medium?.[0]?.strategy === 'latentseek' ? 'latentseek' : undefined)
  })

  test('reads the fused judge where it is the signal', async () => {
    const judge = { version: 'judge-1', score: async (answers: readonly unknown[]) => answers.map(() => 0.9) }
    const { solve } = solverOn(under(TWO_FLIPS, { ...POLICY, signal: 'judge' }), {
      activeModels: () => ({ weaver: identityWeaver, rewardModel: null, judge }),
    })
    expect(await solve(auto)).toMatchObject({ answer: '1', policy: { strategy: 'greedy', confidence: 0.9 } })
  })

  test('a budget of tokens holds for draft and samples together', async () => {
    const policy: Policy = { signal: 'verifier', medium: [{ from: 0, strategy: 'majority', samples: 8 }] }
    const { solve } = solverOn(under(TWO_FLIPS, policy))
    const { usage, answer } = await solve({ ...auto, budget: { maxNewTokens: 20 } })
    expect(usage.generatedTokens).toBeLessThanOrEqual(20)
    expect(answer).not.toBeUndefined()
  })
})
