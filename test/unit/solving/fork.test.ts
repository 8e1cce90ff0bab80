import { describe, expect, test } from 'vitest'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { END, encode, TEST_PROFILE, tokenOf } from '../../support/linear-model.ts'
import { GOOD_DRAFT, route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const fork = { strategy: 'fork' } as const
const DRAFT = encode('a : 6 + 4 ; ans 1 <end>')

test('finds the answer behind the third most likely token, and says how', async () => {
  const { solve, engine, events } = solverOn(TWO_FLIPS)
  const solution = await solve({ ...fork, learn: false, explain: true })

  expect(solution).toMatchObject({ answer: '3', stopped: 'reward', improved: true, strategy: 'fork' })
  expect(solution.base?.answer).toBe('1')
  expect(engine.grown).toEqual([[tokenOf('b')], [tokenOf('c')]])
  // One round: two branches in one batch and one batch of verdicts, beside the draft's.
  expect(solution).toMatchObject({ iterations: 1, evaluations: 2 })
  expect(engine.calls).toMatchObject({ generate: 2, score: 2, likelyTokens: 1, ascend: 0 })
  expect(solution.rewardHistory).toEqual([solution.base?.reward, solution.reward])
  expect(solution.candidates?.map(({ kind }) => kind)).toEqual([
    'draft',
    ...new Array(2).fill('regeneration'),
  ])
  expect(events.map(({ event }) => event)).toEqual(['draft', ...new Array(2).fill('candidate'), 'iteration'])
  expect(events.at(-1)).toMatchObject({ data: { step: 1, changed: true, answer: '3' } })
})

test('counts the decoded tokens only: a branch shares the tokens before it', async () => {
  const { solve, engine } = solverOn(TWO_FLIPS)
  const other = [{ token: tokenOf('*'), probability: 0.4 }]
  Object.assign(engine.head, { likelyTokens: async () => DRAFT.map(() => other) })
  const asked = { ...fork, samples: 4, positions: 'random', explain: true, seed: 3 } as const
  const { usage, candidates } = await solve(asked)

  const shared = engine.grown.map((prefix) => prefix.length - 1)
  expect(Math.max(...shared)).toBeGreaterThan(0)
  for (const [index, prefix] of engine.grown.entries()) {
    expect(prefix.slice(0, -1)).toEqual(DRAFT.slice(0, shared[index]))
    expect(prefix.at(-1)).not.toBe(DRAFT[shared[index]!])
  }
  const decoded = engine.grown.map((prefix, index) => candidates![index + 1]!.tokens - prefix.length)
  expect(usage.generatedTokens).toBe(DRAFT.length + decoded.reduce((sum, count) => sum + count, 0))
})

test('signals of a branch cover the whole answer, as those of the draft do', async () => {
  const { solve, engine } = solverOn({
    ...TWO_FLIPS,
    routes: { ...TWO_FLIPS.routes, a: { ...TWO_FLIPS.routes['a']!, logProbability: -0.25 } },
    entropies: [0, 0, 0, 1],
  })
  const likely = [{ token: tokenOf('*'), probability: 0.125 }]
  Object.assign(engine.head, { likelyTokens: async () => [likely] })
  const { candidates } = await solve({ ...fork, samples: 1, explain: true })
  const [draft, branch] = candidates!
  expect(engine.grown).toEqual([[...DRAFT.slice(0, 3), tokenOf('*')]])
  expect(draft!.logProbability).toBeCloseTo(-0.25, 6)
  const others = (branch!.tokens - 1) * -0.25
  expect(branch!.logProbability).toBeCloseTo((others + Math.log(0.125)) / branch!.tokens, 6)
  expect(branch!.selfCertainty).toBe(draft!.selfCertainty)
})

test('leaves a draft alone that passes', async () => {
  const { solve, engine } = solverOn(GOOD_DRAFT)
  expect(await solve(fork)).toMatchObject({ answer: '1', stopped: 'reward', iterations: 0, evaluations: 0 })
  expect(engine.calls).toMatchObject({ generate: 1, likelyTokens: 0 })
})

test('keeps the draft when no branch is better, and stops after the last', async () => {
  const world = { routes: { a: route('1', 0.4), b: route('2', 0.3) }, firstLogits: { a: 3, b: 2.9 } }
  const { solve } = solverOn(world)
  const solution = await solve({ ...fork, samples: 6 })
  expect(solution).toMatchObject({
    answer: '1',
    improved: false,
    stopped: 'noImprovement',
    evaluations: 6,
    iterations: 2,
  })
  expect(solution.rewardHistory).toEqual(new Array(3).fill(solution.base?.reward))
})

test('decodes all branches in one batch where no answer can pass', async () => {
  const profile = { defaults: { ...TEST_PROFILE.defaults, stopReward: 0 } }
  const { solve, engine } = solverOn({ ...TWO_FLIPS, profile })
  expect(await solve(fork)).toMatchObject({
    answer: '3',
    stopped: 'noImprovement',
    evaluations: 8,
    iterations: 1,
  })
  expect(engine.calls).toMatchObject({ generate: 2, score: 2 })
})

describe('budgets', () => {
  const late = {
    routes: { ...TWO_FLIPS.routes, e: route('5', 0.05), ':': route('6', 0.05) },
    firstLogits: { a: 9, b: 2, d: 1.8, e: 1.6, ':': 1.5, c: 1.4 },
  }

  test('samples bounds the branches', async () => {
    const solution = await solverOn(TWO_FLIPS).solve({ ...fork, samples: 1 })
    expect(solution).toMatchObject({ answer: '2', evaluations: 1, stopped: 'noImprovement' })
  })

  test('maxIterations bounds the rounds', async () => {
    const solution = await solverOn(late).solve({ ...fork, budget: { maxIterations: 1 } })
    expect(solution).toMatchObject({ iterations: 1, evaluations: 2, stopped: 'maxIterations' })
    const none = await solverOn(late).solve({ ...fork, budget: { maxIterations: 0 } })
    expect(none).toMatchObject({ answer: '1', iterations: 0, evaluations: 0, stopped: 'maxIterations' })
  })

  test('maxNewTokens is shared by the branches of a round', async () => {
    const solution = await solverOn(late).solve({ ...fork, budget: { maxNewTokens: 20 } })
    expect(solution.usage.generatedTokens).toBeLessThanOrEqual(20)
    expect(solution).toMatchObject({ answer: '1', stopped: 'maxNewTokens' })
    const cut = await solverOn(late).solve({ ...fork, budget: { maxNewTokens: 5 } })
    expect(cut).toMatchObject({ answer: null, reward: -1, stopped: 'maxNewTokens' })
  })

  test.each(['likelyTokens', 'generate'] as const)('maxMs during %s returns the draft', async (call) => {
    let generated = 0
    const world = {
      ...TWO_FLIPS,
      before: async (made: string) => {
        generated += Number(made === 'generate')
        const isSlow = made === call && (call === 'likelyTokens' || generated === 2)
        if (isSlow) await new Promise((resolve) => setTimeout(resolve, 400))
      },
    }
    const solution = await solverOn(world).solve({ ...fork, budget: { maxMs: 150 } })
    expect(solution).toMatchObject({ answer: '1', stopped: 'maxMs', improved: false })
  })
})

describe('episodes', () => {
  test('keep latents that decode to the first tokens of the branch', async () => {
    const episodes = createEpisodesInMemory()
    const { solve, engine } = solverOn(TWO_FLIPS, { episodes })
    await solve(fork)
    const { latents } = episodes.added[0]!
    expect(latents).toMatchObject({ zBase: { length: 1 }, zStar: { length: 1 } })
    const never = new AbortController().signal
    expect(await engine.head.decode(latents!.zStar, never)).toEqual([tokenOf('c')])
    expect(await engine.head.decode(latents!.zBase, never)).toEqual([tokenOf('a')])
  })

  test('keep none of a branch that begins behind their positions', async () => {
    const episodes = createEpisodesInMemory()
    // A draft without an end is not well formed; the branch of its second word ends.
    const world = {
      routes: { a: { ...route('1', 0.9), endless: true } },
      firstLogits: { a: 3 },
      entropies: [0, 0, 0, 0, 0, 0, 0, 0, 1],
      profile: { defaults: { ...TEST_PROFILE.defaults, latents: 1, samples: 1 } },
    }
    const { solve, engine } = solverOn(world, { episodes })
    Object.assign(engine.head, { likelyTokens: async () => [[{ token: END, probability: 0.4 }]] })
    const solution = await solve(fork)
    expect(solution).toMatchObject({ answer: '1', improved: true, stopped: 'reward' })
    expect(episodes.added[0]).toMatchObject({ admitted: true, latents: null })
  })
})

describe('latentseek at positions', () => {
  /** Steps long enough to change a token of which the model is certain. */
  const WANDERING = {
    ...TWO_FLIPS,
    profile: { defaults: { ...TEST_PROFILE.defaults, direction: 'random' as const, lr: 5 } },
  }

  test('moves the latents from the position of highest entropy on, and keeps the tokens before it', async () => {
    const episodes = createEpisodesInMemory()
    const { solve, engine } = solverOn({ ...WANDERING, entropies: [0.1, 0.2, 0.9, 0.3] }, { episodes })
    // In half of all directions, the certainty of a token only grows.
    for (const seed of [1, 2, 3, 4, 5, 6]) await solve({ positions: 'entropy', seed })
    expect(engine.grown.length).toBeGreaterThan(0)
    for (const prefix of engine.grown) {
      expect(prefix.slice(0, 2)).toEqual(DRAFT.slice(0, 2))
      expect(prefix).toHaveLength(3)
      expect(prefix[2]).not.toBe(DRAFT[2])
    }
  })

  test('begins in the first half of the draft', async () => {
    // Nine tokens: the least certain one is the sixth, the least certain of the first five is the first.
    const { solve, engine } = solverOn({ ...TWO_FLIPS, entropies: [0.5, 0.1, 0.1, 0.1, 0.1, 0.9] })
    expect(await solve({ positions: 'entropy' })).toMatchObject({ answer: '3', stopped: 'reward' })
    expect(engine.grown.map((prefix) => prefix.length)).toEqual([1, 1])
  })

  test('random places are drawn by the seed', async () => {
    const startOf = async (seed: number) => {
      const { solve, engine } = solverOn(WANDERING)
      await solve({ positions: 'random', seed })
      return engine.grown[0]?.length ?? 0
    }
    const starts = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(startOf))
    expect(new Set(starts).size).toBeGreaterThan(2)
    expect(Math.max(...starts)).toBeLessThanOrEqual(5)
    expect(await startOf(1)).toBe(starts[0])
  })

  test('the profile sets the places, and the request has the last word', async () => {
    const profile = { defaults: { ...WANDERING.profile.defaults, positions: 'entropy' as const } }
    const { solve, engine } = solverOn({ ...WANDERING, profile, entropies: [0, 1] })
    for (const seed of [1, 2, 3, 4, 5, 6]) await solve({ seed })
    expect(new Set(engine.grown.map((prefix) => prefix.length))).toEqual(new Set([2]))
    const before = engine.grown.length
    for (const seed of [1, 2, 3, 4, 5, 6]) await solve({ seed, positions: 'prefix' })
    expect(new Set(engine.grown.slice(before).map((prefix) => prefix.length))).toEqual(new Set([1]))
  })
})
