import { describe, expect, test } from 'vitest'
import { identityWeaver, ltoDistribution } from '#algorithms'
import type { LatentRewardModel } from '#ports'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, tokenOf, type World } from '../../support/linear-model.ts'
import { scriptedRewardModel } from '../../support/scripted-reward-model.ts'
import { route, solverOn } from '../../support/solve-in-memory.ts'

/** Samples say a, b or c, about as often; the verifier likes a. */
const THREE: World = {
  routes: { a: route('1', 0.9), b: route('2', 0.5), c: route('3', 0.2) },
  firstLogits: { a: 1, b: 1, c: 1 },
}
const CONFIDENCE = { a: 0.1, b: 0.3, c: 0.25 }
const ANSWERS = { a: '1', b: '2', c: '3' }

const withBeta = (beta: number, more: Partial<World> = {}): World => ({
  ...THREE,
  ...more,
  profile: { ...more.profile, defaults: { ...TEST_PROFILE.defaults, beta } },
})
const learned = (rewardModel: LatentRewardModel | null) => () => ({ weaver: identityWeaver, rewardModel })
const LTO = { strategy: 'lto', samples: 8, learn: false, explain: true } as const

describe('lto', () => {
  test('draws an answer as often as exp(r / beta) / sum says, over many requests', async () => {
    const beta = 0.1
    const { solve } = solverOn(withBeta(beta), { activeModels: learned(scriptedRewardModel(CONFIDENCE)) })
    const confidenceOf = new Map(
      Object.entries(ANSWERS).map(([word, answer]) => [answer, CONFIDENCE[word as keyof typeof CONFIDENCE]]),
    )
    const observed = new Map<string, number>()
    const expected = new Map<string, number>()
    const add = (counts: Map<string, number>, answer: string, share: number) =>
      counts.set(answer, (counts.get(answer) ?? 0) + share)

    for (let seed = 0; seed < 2000; seed++) {
      const { answer, candidates } = await solve({ ...LTO, seed })
      add(observed, answer!, 1)
      const answers = candidates!.map((candidate) => candidate.answer!)
      const chances = ltoDistribution(
        answers.map((each) => confidenceOf.get(each)!),
        beta,
      )
      for (const [index, each] of answers.entries()) add(expected, each, chances[index]!)
    }

    expect(expected.get('2')).toBeGreaterThan(2 * expected.get('1')!)
    const chiSquare = [...expected].reduce(
      (sum, [answer, count]) => sum + ((observed.get(answer) ?? 0) - count) ** 2 / count,
      0,
    )
    // 99.9 % of chi-square with 2 degrees of freedom.
    expect(chiSquare).toBeLessThan(13.8)
  }, 30_000)

  test('is best-of-N for a small beta, whatever place the best has', async () => {
    const { solve } = solverOn(withBeta(1e-4), { activeModels: learned(scriptedRewardModel(CONFIDENCE)) })
    const places = new Set<number>()
    for (let seed = 0; seed < 40; seed++) {
      const { answer, candidates } = await solve({ ...LTO, seed })
      const answers = candidates!.map((candidate) => candidate.answer)
      if (!answers.includes('2')) continue
      expect(answer).toBe('2')
      places.add(answers.indexOf('2'))
    }
    expect(places.size).toBeGreaterThan(2)
  })

  test('opens its session with the maps of the reward model, which are those of its version', async () => {
    const tokenMaps = { version: 'lrm-1', weights: new Float32Array(8), biases: [0, 0] as const }
    const gated = { ...scriptedRewardModel(CONFIDENCE), tokenMaps }
    const withMaps = solverOn(THREE, { activeModels: learned(gated) })
    await withMaps.solve(LTO)
    expect(withMaps.engine.opened.map((options) => options.tokenMaps)).toEqual([tokenMaps])
    const without = solverOn(THREE, { activeModels: learned(scriptedRewardModel(CONFIDENCE)) })
    await without.solve(LTO)
    expect(without.engine.opened.map((options) => options.tokenMaps)).toEqual([undefined])
  })

  test('a thought with states or sums that are not finite has no confidence', async () => {
    const bare = { data: new Float32Array(2), layers: 1, width: 2 }
    const scored: number[] = []
    const rewardModel: LatentRewardModel = {
      version: 'lrm-1',
      async score(thoughts) {
        scored.push(thoughts.length)
        return thoughts.map(() => 0.5)
      },
    }
    for (const part of [{ last: Float32Array.of(Number.NaN) }, { gated: { reward: Number.NaN, gate: 1 } }]) {
      const world: World = { ...THREE, thought: () => ({ ...bare, ...part }) }
      const { solve } = solverOn(world, { activeModels: learned(rewardModel) })
      expect((await solve(LTO)).confidence).toBeNull()
    }
    expect(scored).toEqual([])
  })

  test('says the same for the same seed, in one batch and one run of the model', async () => {
    const rewardModel = scriptedRewardModel(CONFIDENCE)
    const { solve, engine } = solverOn(withBeta(0.1), { activeModels: learned(rewardModel) })
    const stories = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const { reasoning, candidates, confidence, reward } = await solve({ ...LTO, seed: 11 })
        return { reasoning, candidates, confidence, reward }
      }),
    )

    for (const story of stories) expect(story).toEqual(stories[0])
    expect(engine.calls).toMatchObject({ generate: 8, score: 8 })
    expect(rewardModel.calls).toEqual(Array(8).fill(8))
  })

  test('names the model that chose, has no base, and answers with its confidence', async () => {
    const { solve } = solverOn(withBeta(1e-4), {
      activeModels: learned(scriptedRewardModel(CONFIDENCE, 'lrm-7')),
    })
    const solution = await solve({ ...LTO, samples: 32 })

    expect(solution).toMatchObject({ answer: '2', confidence: 0.3, base: null, stopped: 'single' })
    expect(solution).toMatchObject({ degraded: [], model: { lrmVersion: 'lrm-7', weaverVersion: null } })
    expect(solution.candidates).toHaveLength(32)
  })

  test('keeps what one request began with, though another model is activated meanwhile', async () => {
    let active = scriptedRewardModel({ a: 1 }, 'lrm-1')
    const world: World = {
      ...withBeta(1e-4),
      before(call) {
        if (call === 'generate') active = scriptedRewardModel({ c: 1 }, 'lrm-2')
      },
    }
    const { solve } = solverOn(world, {
      activeModels: () => ({ weaver: identityWeaver, rewardModel: active }),
    })

    expect(await solve({ ...LTO, samples: 32 })).toMatchObject({
      answer: '1',
      model: { lrmVersion: 'lrm-1' },
    })
    expect(await solve({ ...LTO, samples: 32 })).toMatchObject({
      answer: '3',
      model: { lrmVersion: 'lrm-2' },
    })
  })

  test('samples fewer answers for a small budget of tokens', async () => {
    const { solve } = solverOn(THREE, { activeModels: learned(scriptedRewardModel(CONFIDENCE)) })
    const solution = await solve({ ...LTO, budget: { maxNewTokens: 3 } })
    expect(solution).toMatchObject({ stopped: 'maxNewTokens', answer: null })
    expect(solution.candidates).toHaveLength(3)
  })
})

describe('lto without a latent reward model', () => {
  test('goes by the verifier, and says so', async () => {
    const { solve } = solverOn(withBeta(1e-4))
    const solution = await solve({ ...LTO, samples: 32 })
    expect(solution).toMatchObject({ answer: '1', degraded: ['lrm'], confidence: null })
    expect(solution.model.lrmVersion).toBeNull()
  })

  test('goes by the shape of the thoughts where nobody estimates P(correct)', async () => {
    /** b takes a detour between the same ends: the longer way, which CoE-C prefers. */
    const thought = (tokens: readonly number[]) => ({
      data: Float32Array.from(tokens[0] === tokenOf('b') ? [1, 0, 9, 1, 1, 2] : [1, 0, 1, 1, 1, 2]),
      layers: 3,
      width: 2,
    })
    const { solve } = solverOn(withBeta(1e-4, { thought }))
    const solution = await solve({ ...LTO, samples: 32, reward: { verifier: 0, format: 1 } })
    expect(solution).toMatchObject({ answer: '2', degraded: ['lrm'], reward: 0 })
  })
})

describe('a latent reward model that fails', () => {
  const failing = {
    'scores that are no numbers': async (thoughts: readonly unknown[]) => thoughts.map(() => Number.NaN),
    'scores above 1': async (thoughts: readonly unknown[]) => thoughts.map(() => 1.5),
    'too few scores': async () => [0.5],
    'a process that died': async () => Promise.reject(new Error('gone')),
  }

  test.each(Object.entries(failing))('%s: the verifier stands in, once warned', async (_name, score) => {
    const { solve, warnings } = solverOn(withBeta(1e-4), {
      activeModels: learned({ version: 'lrm-1', score }),
    })
    const solution = await solve({ ...LTO, samples: 32 })

    expect(solution).toMatchObject({ answer: '1', degraded: ['lrm'], confidence: null })
    expect(warnings).toEqual(['latent reward model failed: solving without it'])
  })

  test.each(['greedy', 'latentseek', 'majority', 'auto'] as const)(
    'costs %s its confidence, not its answer',
    async (strategy) => {
      const rewardModel = { version: 'lrm-1', score: failing['scores that are no numbers'] }
      const well = await solverOn(THREE).solve({ strategy })
      const solution = await solverOn(THREE, { activeModels: learned(rewardModel) }).solve({ strategy })

      expect(solution).toMatchObject({
        answer: well.answer,
        reward: well.reward,
        confidence: null,
        degraded: ['lrm'],
      })
    },
  )

  test('leaves a reward that it is part of to the other terms', async () => {
    const rewardModel = { version: 'lrm-1', score: failing['scores that are no numbers'] }
    const well = await solverOn(THREE).solve({ strategy: 'greedy' })
    const { solve, warnings } = solverOn(THREE, { activeModels: learned(rewardModel) })
    const solution = await solve({ strategy: 'greedy', reward: { lrm: 3 } })

    expect(solution).toMatchObject({ reward: well.reward, degraded: ['lrm'] })
    expect(warnings).toHaveLength(1)
  })

  test('is not blamed for a thought that is not made of numbers', async () => {
    const thought = () => ({ data: Float32Array.of(Number.NaN, 1), layers: 1, width: 2 })
    const rewardModel = scriptedRewardModel(CONFIDENCE)
    const { solve, warnings } = solverOn({ ...THREE, thought }, { activeModels: learned(rewardModel) })

    expect(await solve({ strategy: 'greedy' })).toMatchObject({ confidence: null, degraded: [] })
    expect([rewardModel.calls, warnings]).toEqual([[], []])
  })

  test('does not outlive the time of a request', async () => {
    const never = { version: 'lrm-1', score: () => new Promise<number[]>(() => {}) }
    const { solve } = solverOn(THREE, { activeModels: learned(never) })
    const solution = await solve({ ...LTO, budget: { maxMs: 60 } })
    expect(solution).toMatchObject({ stopped: 'maxMs', confidence: null, degraded: [] })
    expect(solution.answer).not.toBeNull()
  })
})

describe('confidence', () => {
  test.each(['greedy', 'latentseek', 'majority', 'auto'] as const)(
    'comes with every answer of %s, scored once',
    async (strategy) => {
      const rewardModel = scriptedRewardModel({ a: 0.9, b: 0.6, c: 0.3 })
      const solution = await solverOn(THREE, { activeModels: learned(rewardModel) }).solve({
        strategy,
        samples: 4,
      })

      const word = solution.reasoning[0] as 'a' | 'b' | 'c'
      expect(solution.confidence).toBe({ a: 0.9, b: 0.6, c: 0.3 }[word])
      expect(rewardModel.calls).toEqual([1])
    },
  )
})

describe('the lrm term of the reward', () => {
  test('is P(correct) - 1, weighed like the others', async () => {
    const rewardModel = scriptedRewardModel({ a: 0.4 })
    const solution = await solverOn(THREE, { activeModels: learned(rewardModel) }).solve({
      strategy: 'greedy',
      explain: true,
      reward: { lrm: 2, verifier: 1, format: 0 },
    })

    const [draft] = solution.candidates!
    expect(draft!.rewardTerms['lrm']).toBeCloseTo(-0.6, 6)
    expect(solution.reward).toBeCloseTo((2 * -0.6 + 1 * -0.1) / 3, 6)
    expect(solution.degraded).toEqual([])
    expect(rewardModel.calls).toEqual([1])
  })

  test('steers a search that has nothing else, while the profile decides what is worth remembering', async () => {
    const episodes = createEpisodesInMemory()
    const rewardModel = scriptedRewardModel({ a: 0.1, b: 0.2, c: 0.95 })
    const world = { ...THREE, firstLogits: { a: 3, b: 2, c: 1.4 } }
    const { solve } = solverOn(world, { episodes, activeModels: learned(rewardModel) })
    const solution = await solve({ strategy: 'latentseek', reward: { lrm: 1, verifier: 0, format: 0 } })

    expect(solution).toMatchObject({
      answer: '3',
      confidence: 0.95,
      improved: true,
      usage: { rewardTokens: 3 },
    })
    // The verifier, which the profile asks, gives the answer .2.
    expect(episodes.added[0]!.admitted).toBe(false)
    const forgetful = await solve({
      strategy: 'latentseek',
      reward: { lrm: 1, verifier: 0, format: 0 },
      learn: false,
    })
    expect(forgetful).toMatchObject({ answer: '3', usage: { rewardTokens: 0 } })
  })

  test('leaves the verifier its word on stopping and admission', async () => {
    const episodes = createEpisodesInMemory()
    const rewardModel = scriptedRewardModel({ c: 1 })
    const world = { ...THREE, firstLogits: { c: 1 } }
    const { solve } = solverOn(world, { episodes, activeModels: learned(rewardModel) })
    const { reward } = await solve({ strategy: 'greedy', reward: { lrm: 9 } })

    // The reward is high enough; the verifier's P(correct) is .2.
    expect(reward).toBeGreaterThan(-0.1)
    expect(episodes.added[0]!.admitted).toBe(false)
  })
})
