import { describe, expect, test } from 'vitest'
import { createRandom } from '#tensor'
import { createPerfectJudge, createRandomJudge } from '../../../bench/quality/control-judges.ts'
import { bestOfSamples, gaussianKick } from '../../../bench/quality/control-strategies.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, tokenOf } from '../../support/linear-model.ts'
import { GOOD_DRAFT, REQUEST, route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

describe('greedy', () => {
  test('answers with the draft and its reward', async () => {
    const { solve, engine } = solverOn(TWO_FLIPS)
    const solution = await solve({ strategy: 'greedy' })

    expect(solution).toMatchObject({
      answer: '1',
      reasoning: 'a : 6 + 4 ; ans 1',
      stopped: 'single',
      improved: false,
      iterations: 0,
      evaluations: 0,
      strategy: 'greedy',
      seed: 1,
      retrieved: [],
      degraded: [],
      episodeId: null,
    })
    // Verifier (weight 1) says -.9, format (weight 2) has nothing to complain about.
    expect(solution.reward).toBeCloseTo(-0.3, 6)
    expect(solution.base).toEqual({ answer: '1', reward: solution.reward })
    expect(solution.rewardHistory).toEqual([solution.reward])
    expect(engine.calls).toMatchObject({ open: 1, generate: 1, score: 1, ascend: 0 })
    expect(engine.openSessions).toBe(0)
  })

  test('counts what it cost', async () => {
    const { usage, timings } = await solverOn(TWO_FLIPS).solve({ strategy: 'greedy' })

    // <user> 6 + 4 = ? <end> <assistant>; a : 6 + 4 ; ans 1 <end>; check
    expect(usage).toEqual({
      promptTokens: 8,
      cachedTokens: 0,
      completionTokens: 9,
      generatedTokens: 9,
      rewardTokens: 1,
    })
    expect(timings.totalMs).toBeGreaterThanOrEqual(0)
    expect(timings.optimizeMs).toBe(0)
  })
})

describe('latentseek', () => {
  test('finds the answer behind two flips and says how', async () => {
    const { solve, engine } = solverOn(TWO_FLIPS)
    const solution = await solve()

    expect(solution).toMatchObject({ answer: '3', stopped: 'reward', improved: true, evaluations: 2 })
    expect(solution.reward).toBeCloseTo(-0.01, 6)
    expect(solution.base?.answer).toBe('1')
    expect(solution.rewardHistory).toHaveLength(solution.iterations + 1)
    expect(engine.grown.map((prefix) => prefix.length)).toEqual([1, 1])
    // Draft 9; two regenerations of 8 behind their one-token prefix.
    expect(solution.usage.generatedTokens).toBe(9 + 8 + 8)
    expect(solution.usage.rewardTokens).toBe(3)
  })

  test('leaves a good draft alone', async () => {
    const { solve, engine } = solverOn(GOOD_DRAFT)
    const solution = await solve()

    expect(solution).toMatchObject({ answer: '1', stopped: 'reward', iterations: 0, improved: false })
    expect(engine.calls.ascend).toBe(0)
  })

  test('tells its story in events: draft, then iterations and candidates', async () => {
    const { solve, events } = solverOn(TWO_FLIPS)
    const solution = await solve()

    expect(events[0]).toMatchObject({ event: 'draft', data: { answer: '1' } })
    const iterations = events.filter(({ event }) => event === 'iteration')
    expect(iterations).toHaveLength(solution.iterations)
    expect(iterations.at(-1)).toMatchObject({ data: { answer: '3', changed: true, reward: solution.reward } })
    expect(events.filter(({ event }) => event === 'candidate').map(({ data }) => data)).toMatchObject([
      { kind: 'regeneration', answer: '2' },
      { kind: 'regeneration', answer: '3', tokens: 9 },
    ])
  })

  test('is not led by memory, which is asked for refuted answers only', async () => {
    const episodes = createEpisodesInMemory()
    const solution = await solverOn(TWO_FLIPS, { episodes }).solve()

    expect(episodes.queries).toMatchObject([{ topK: 0 }])
    expect(solution.retrieved).toEqual([])
  })

  test('says what happened on request: candidates, and the path of the latents', async () => {
    const solution = await solverOn(TWO_FLIPS).solve({ explain: true })

    expect(solution.candidates?.map(({ kind, answer }) => [kind, answer])).toEqual([
      ['draft', '1'],
      ['regeneration', '2'],
      ['regeneration', '3'],
    ])
    expect(solution.candidates?.[0]?.rewardTerms).toMatchObject({
      format: 0,
      'format.answer': 0,
      'format.ends': 0,
    })
    expect(solution.candidates?.[0]?.rewardTerms['verifier.correctness']).toBeCloseTo(-0.9, 6)
    expect(solution.latents?.map(({ step }) => step)).toEqual([0, expect.any(Number), solution.iterations])
    const texts = solution.candidates?.map(({ text }) => text)
    expect(new Set(texts).size).toBe(3)
    expect(solution.latents?.map(({ text }) => text)).toEqual(texts)
    expect(solution.latents?.map(({ answer }) => answer)).toEqual(['1', '2', '3'])
    const [first, , last] = solution.latents!
    expect(Math.hypot(last!.x - first!.x, last!.y - first!.y)).toBeGreaterThan(0.5)
  })

  test('says nothing of that unasked', async () => {
    const solution = await solverOn(TWO_FLIPS).solve()
    expect(solution).not.toHaveProperty('candidates')
    expect(solution).not.toHaveProperty('latents')
  })

  test('judges an answer that ends inside the prefix', async () => {
    // <end> is the runner-up of the first word: the empty answer.
    const world = { ...TWO_FLIPS, firstLogits: { a: 3, '<end>': 2.8, c: 1 } }
    const { solve, engine } = solverOn(world)
    const solution = await solve({ explain: true })

    expect(solution.candidates?.[1]).toMatchObject({ answer: null, tokens: 1, reward: -1 })
    expect(solution.answer).toBe('3')
    expect(engine.grown.every((prefix) => !prefix.includes(0))).toBe(true)
  })
})

describe('latentseek with sampled rollouts', () => {
  const sampling = (rollouts: number, rolloutTemperature = 1) => ({
    ...TWO_FLIPS,
    profile: { defaults: { ...TEST_PROFILE.defaults, rollouts, rolloutTemperature, maxIterations: 3 } },
  })

  test('completes and judges the rollouts of a step as one batch', async () => {
    const { solve, engine } = solverOn(sampling(8, 2))
    const solution = await solve({ budget: { maxIterations: 1 }, explain: true })

    expect(engine.calls.sample).toBe(1)
    // Draft, rollouts, and where the one update led to.
    expect(engine.calls.generate).toBeLessThanOrEqual(3)
    expect(engine.calls.score).toBe(engine.calls.generate)
    expect(engine.grown.length).toBeGreaterThan(1)
    expect(solution.evaluations).toBe(engine.grown.length)
    expect(solution.candidates).toHaveLength(1 + engine.grown.length)
  })

  test('finds by chance what lies behind two flips, and remembers latents that decode to it', async () => {
    const episodes = createEpisodesInMemory()
    const { solve, engine } = solverOn(sampling(16, 2), { episodes })
    const solution = await solve({ explain: true })

    expect(solution).toMatchObject({ answer: '3', stopped: 'reward' })
    expect(solution.iterations).toBeLessThan(3)
    const [episode] = episodes.added
    const tokens = await engine.head.decode(episode!.latents!.zStar, new AbortController().signal)
    expect(tokens[0]).toBe(tokenOf('c'))
  })

  test('draws at its own temperature: near 0 every rollout is the draft, and nothing is judged', async () => {
    const { solve, engine } = solverOn(sampling(8, 0.01))
    const solution = await solve()

    expect(solution).toMatchObject({ answer: '1', evaluations: 0, iterations: 3, stopped: 'maxIterations' })
    expect(engine.calls.sample).toBe(3)
  })

  test('is as patient as an argmax search, counted per rollout', async () => {
    const search = (rollouts: number) => {
      const world = {
        ...sampling(rollouts),
        routes: { a: route('1', 0.3), b: route('2', 0.2), c: route('3', 0.1), d: route('4', 0.05) },
        firstLogits: { a: 3, b: 2.9, c: 2.8, d: 2.7 },
      }
      world.profile.defaults = { ...world.profile.defaults, patience: 1, maxIterations: 20 }
      return solverOn(world).solve()
    }

    // Three answers there are besides the draft, none better: fewer than 1 x 4 evaluations, but not than 1 x 2.
    expect(await search(4)).toMatchObject({ stopped: 'maxIterations', evaluations: 3 })
    expect(await search(2)).toMatchObject({ stopped: 'noImprovement' })
  })
})

describe('majority', () => {
  // Most samples say b; a, the mode's rival, is the draft.
  const world = {
    routes: { a: route('1', 0.3), b: route('2', 0.2), c: route('2', 0.4), d: route('4', 0.9) },
    firstLogits: { a: 1, b: 1, c: 0.9, d: -2 },
  }

  test('returns the answer of the largest camp, at its best reward, and no base', async () => {
    const { solve, engine } = solverOn(world)
    const solution = await solve({ strategy: 'majority', samples: 16, explain: true })

    expect(solution.answer).toBe('2')
    expect(solution.reasoning.startsWith('c')).toBe(true)
    expect(solution).toMatchObject({ base: null, improved: false, stopped: 'single', iterations: 0 })
    expect(solution.candidates).toHaveLength(16)
    expect(engine.calls).toMatchObject({ generate: 1, score: 1 })
    expect(solution.usage.generatedTokens).toBe(16 * 9)
  })

  test('samples the same rows for the same seed, however many there are', async () => {
    const answersOf = async (samples: number, seed: number) => {
      const { candidates } = await solverOn(world).solve({
        strategy: 'majority',
        samples,
        seed,
        explain: true,
      })
      return candidates!.map(({ answer, reward }) => `${answer} ${reward}`)
    }
    const sixteen = await answersOf(16, 5)

    expect(await answersOf(4, 5)).toEqual(sixteen.slice(0, 4))
    expect(await answersOf(16, 6)).not.toEqual(sixteen)
  })

  test('takes N from the profile', async () => {
    const solution = await solverOn(world).solve({ strategy: 'majority', explain: true })
    expect(solution.candidates).toHaveLength(8)
  })
})

describe('auto', () => {
  /** Embeddings by question: its first word chooses a direction. */
  const state = (prompt: readonly number[]) =>
    prompt[1] === tokenOf('6') ? Float32Array.of(1, 0) : Float32Array.of(0, 1)

  test('starts from what similar requests taught: fewer updates, same answer', async () => {
    const episodes = createEpisodesInMemory()
    const { solve, events } = solverOn({ ...TWO_FLIPS, state }, { episodes })
    const first = await solve({ strategy: 'auto' })
    expect(first).toMatchObject({ answer: '3', stopped: 'reward', retrieved: [] })
    expect(first.iterations).toBeGreaterThan(3)
    expect(episodes.added[0]!.latents).not.toBeNull()
    events.length = 0

    const second = await solve({ strategy: 'auto' })

    expect(second).toMatchObject({
      answer: '3',
      stopped: 'reward',
      iterations: 0,
      evaluations: 1,
      improved: true,
    })
    expect(second.retrieved).toEqual([{ episodeId: first.episodeId, similarity: 1, weight: 1 }])
    expect(second.base?.answer).toBe('1')
    expect(events.map(({ event }) => event)).toEqual(['retrieval', 'draft', 'candidate'])
  })

  test('refines from where memory leads, though that answer is no better than the draft', async () => {
    const episodes = createEpisodesInMemory()
    await solverOn(
      { ...TWO_FLIPS, routes: { ...TWO_FLIPS.routes, b: route('2', 0.97) } },
      { episodes },
    ).solve({
      strategy: 'auto',
    })
    const routes = { ...TWO_FLIPS.routes, b: route('2', 0.02) }
    const { solve, events } = solverOn({ ...TWO_FLIPS, routes }, { episodes })

    const solution = await solve({ strategy: 'auto', explain: true })

    expect(solution).toMatchObject({ answer: '3', base: { answer: '1' } })
    expect(solution.candidates!.slice(0, 2).map(({ answer }) => answer)).toEqual(['1', '2'])
    expect(solution.rewardHistory[0]).toBe(solution.candidates![1]!.reward)
    expect(solution.rewardHistory[0]).toBeLessThan(solution.base!.reward)
    expect(solution.latents!.slice(0, 2).map(({ step }) => step)).toEqual([0, 0])
    expect(events.slice(0, 3).map(({ event }) => event)).toEqual(['retrieval', 'draft', 'candidate'])
  })

  test('judges an answer that the latents spell to its end, without decoding a token', async () => {
    const short = {
      routes: { a: route('', 0.1, ''), c: route('', 0.97, '') },
      firstLogits: { a: 3, c: 2 },
      profile: { answer: { normalise: ['trim' as const] } },
    }
    const { solve, engine } = solverOn(short)
    const solution = await solve({ strategy: 'auto' })

    expect(solution).toMatchObject({ answer: 'c', stopped: 'reward', evaluations: 1 })
    expect(engine.grown).toEqual([])
    expect(solution.usage.generatedTokens).toBe(2)
    expect(engine.judged.at(-1)!.slice(solution.usage.promptTokens)).toEqual([
      ...[tokenOf('c'), 0, tokenOf('check')],
    ])
  })

  test('is plain LatentSeek far from memory', async () => {
    const episodes = createEpisodesInMemory()
    const world = { ...TWO_FLIPS, state }
    const { solve } = solverOn(world, { episodes })
    await solve({ strategy: 'auto', question: '6 + 4' })

    const far = await solve({ strategy: 'auto', question: '7 + 4' })
    const without = await solverOn(world).solve({ strategy: 'auto', question: '7 + 4' })

    expect(far.retrieved).toEqual([])
    expect(far.rewardHistory).toEqual(without.rewardHistory)
  })

  test('does not let memory near a draft that passes', async () => {
    const episodes = createEpisodesInMemory()
    await solverOn(TWO_FLIPS, { episodes }).solve({ strategy: 'auto' })
    const { solve, engine } = solverOn(GOOD_DRAFT, { episodes })

    const solution = await solve({ strategy: 'auto' })

    expect(solution).toMatchObject({ answer: '1', iterations: 0, evaluations: 0 })
    expect(solution.retrieved).toHaveLength(1)
    expect(engine.calls).toMatchObject({ decode: 0, ascend: 0 })
  })

  test('asks memory for what the request and the profile say', async () => {
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(TWO_FLIPS, { episodes })
    await solve({ strategy: 'auto', tenantId: 'other' })
    await solve({ strategy: 'auto', retrieval: { topK: 7, minSimilarity: 0.9 } })
    await solve({ strategy: 'auto', retrieval: { topK: 0 } })
    await solve({ strategy: 'auto', retrieval: false })

    expect(episodes.queries).toMatchObject([
      { tenantId: 'other', fingerprint: 'linear-fingerprint', topK: 3, minSimilarity: 0.5 },
      { tenantId: 'default', topK: 7, minSimilarity: 0.9 },
    ])
  })

  test('solves without memory when the store is gone, and says so', async () => {
    const episodes = createEpisodesInMemory({ failing: ['recollect', 'add'] })
    const { solve, warnings } = solverOn(TWO_FLIPS, { episodes })

    const solution = await solve({ strategy: 'auto' })

    expect(solution).toMatchObject({ answer: '3', retrieved: [], episodeId: null })
    expect(solution.degraded).toEqual(['retrieval', 'learning'])
    expect(warnings).toHaveLength(2)
  })
})

describe('never below the draft', () => {
  test('whatever the reward, for every strategy that has one (200 seeded cases)', async () => {
    const random = createRandom(11)
    const episodes = createEpisodesInMemory()
    for (let seed = 0; seed < 200; seed++) {
      const firstLogits = Object.fromEntries(
        ['a', 'b', 'c', 'd', 'e'].map((word) => [word, random.gaussian()]),
      )
      const routes = Object.fromEntries(
        ['a', 'b', 'c', 'd', 'e'].map((word, index) => [word, route(`${index}`, 0.5)]),
      )
      const { solve } = solverOn(
        { routes, firstLogits },
        { episodes, judgeFor: () => createRandomJudge(seed) },
      )
      const strategy = (['latentseek', 'auto', 'greedy'] as const)[seed % 3]!
      const solution = await solve({ strategy, seed })

      expect(solution.reward, `seed ${seed}`).toBeGreaterThanOrEqual(solution.base!.reward)
      expect(solution.improved, `seed ${seed}`).toBe(solution.reward > solution.base!.reward)
    }
  })
})

describe('controls', () => {
  test('a perfect reward can take the place of the judge, in a bench', async () => {
    const { solve } = solverOn(TWO_FLIPS, {
      judgeFor: (request) => createPerfectJudge(request.reference!),
    })
    const solution = await solve({ reference: '2' })

    expect(solution).toMatchObject({ answer: '2', reward: 0, stopped: 'reward' })
    expect(solution.usage.rewardTokens).toBe(0)
  })

  test('best of N takes the best reward among samples', async () => {
    const { solve } = solverOn(TWO_FLIPS, { strategies: { majority: bestOfSamples } })
    const solution = await solve({ strategy: 'majority', samples: 32, explain: true })

    const best = Math.max(...solution.candidates!.map(({ reward }) => reward))
    expect(solution.reward).toBe(best)
    expect(solution.answer).toBe('3')
  })

  test('a Gaussian kick costs at most one evaluation and no update', async () => {
    const { solve, engine } = solverOn(TWO_FLIPS, { strategies: { latentseek: gaussianKick(2) } })
    const answers = new Set<string | null>()
    for (let seed = 0; seed < 20; seed++) {
      const solution = await solve({ seed })
      expect(solution.iterations).toBe(0)
      expect(solution.evaluations).toBeLessThanOrEqual(1)
      answers.add(solution.answer)
    }
    expect(engine.calls.ascend).toBe(0)
    expect(answers.size).toBeGreaterThan(1)
  })
})

test('calls of session and head bear the name of the caller, among whom the engine is shared', async () => {
  const { engine, solver } = solverOn(TWO_FLIPS)
  await solver.solve(REQUEST, { signal: new AbortController().signal, caller: 'tenant a' })
  expect(engine.opened.map(({ caller }) => caller)).toEqual(['tenant a'])
  expect(engine.headsOf).toEqual(['tenant a'])
})
