import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import { ServiceError } from '#errors'
import type { Weaver } from '#ports'
import { fromFloat16, toFloat16 } from '#tensor'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { identity, linearHead, tokenOf, VOCABULARY } from '../../support/linear-model.ts'
import { scriptedRewardModel } from '../../support/scripted-reward-model.ts'
import { GOOD_DRAFT, route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const { decode } = linearHead(identity(VOCABULARY))

test('commits the episode with everything that was judged', async () => {
  const episodes = createEpisodesInMemory()
  const solution = await solverOn(TWO_FLIPS, { episodes }).solve({ reference: ' 3 ' })

  expect(episodes.added).toHaveLength(1)
  const [episode] = episodes.added
  expect(episode).toMatchObject({
    id: solution.episodeId,
    tenantId: 'default',
    fingerprint: 'linear-fingerprint',
    judgeFingerprint: 'linear-judge',
    answerRules: 'linear-answers',
    modelId: 'linear',
    strategy: 'latentseek',
    question: '6 + 4 = ?',
    reference: '3',
    answer: '3',
    stopped: 'reward',
    seed: 1,
    reward: solution.reward,
    baseReward: solution.base!.reward,
    iterations: solution.iterations,
    evaluations: 2,
    generatedTokens: 25,
    admitted: true,
    reasoning: solution.reasoning,
  })
  expect(episode!.candidates.map(({ kind, answer, chosen }) => [kind, answer, chosen])).toEqual([
    ['draft', '1', false],
    ['regeneration', '2', false],
    ['regeneration', '3', true],
  ])
  expect(episode!.candidates[2]!.tokens[0]).toBe(tokenOf('c'))
  expect([...episode!.embedding]).toEqual([1, ...Array(VOCABULARY - 1).fill(0)])
})

describe('the versions that could influence the answer', () => {
  const rewardModel = scriptedRewardModel({ a: 0.1, b: 0.3, c: 0.25 })
  const weaver: Weaver = {
    version: 'weaver-4',
    apply: async (rows) => rows.map(({ zBase }) => zBase),
  }
  const broken: Weaver = {
    version: 'weaver-4',
    apply: () => Promise.reject(new ServiceError('SESSION_FAILED', 'weave: expected numbers, got NaN')),
  }
  const weighted = { reward: { lrm: 1 } }
  const trained = { weaver, rewardModel }
  const untrained = { weaver: identityWeaver, rewardModel: null }
  const judge = {
    version: 'judge-2',
    policy: null,
    score: async (answers: readonly unknown[]) => answers.map(() => 0.5),
  }

  test.each([
    ['auto', {}, trained, 'weaver-4', null],
    ['auto', {}, untrained, 'none', null],
    ['auto', { weaver: false }, trained, null, null],
    ['auto', {}, { ...trained, weaver: broken }, null, null],
    ['auto', weighted, trained, 'weaver-4', rewardModel.version],
    ['latentseek', {}, trained, null, null],
    ['latentseek', weighted, trained, null, rewardModel.version],
    ['latentseek', weighted, untrained, null, 'none'],
    ['greedy', weighted, trained, null, null],
    ['majority', {}, trained, null, null],
    ['lto', {}, trained, null, rewardModel.version],
    ['lto', {}, untrained, null, 'none'],
    // A fused judge weighs the estimate of the reward model.
    ['latentseek', {}, { ...trained, judge }, null, rewardModel.version],
    ['best-of-n', {}, { ...trained, judge }, null, rewardModel.version],
    ['best-of-n', { selector: 'verifier' }, { ...trained, judge }, null, null],
    ['fork', {}, { ...untrained, judge }, null, 'none'],
    ['majority', {}, { ...trained, judge }, null, null],
    ['lto', {}, { ...trained, rewardModel: { ...rewardModel, score: async () => [Number.NaN] } }, null, null],
  ] as const)(
    'of %s with %j are stored with the episode',
    async (strategy, request, models, weaverVersion, lrmVersion) => {
      const episodes = createEpisodesInMemory()
      const { solve } = solverOn(TWO_FLIPS, { episodes, activeModels: () => models })
      await solve({ strategy, samples: 4, ...request })
      expect(episodes.added).toMatchObject([{ strategy, weaverVersion, lrmVersion }])
    },
  )
})

test('while learning is frozen, retrieves and answers as usual but commits nothing', async () => {
  const episodes = createEpisodesInMemory()
  let frozen = false
  const { solve } = solverOn(TWO_FLIPS, { episodes, isFrozen: () => frozen })
  const before = await solve({ strategy: 'auto' })
  frozen = true
  const during = await solve({ strategy: 'auto' })
  expect(during).toMatchObject({ episodeId: null, answer: '3', degraded: [] })
  expect(during.retrieved.map(({ episodeId }) => episodeId)).toEqual([before.episodeId])
  frozen = false
  expect((await solve()).episodeId).toBe(episodes.added[1]!.id)
  expect(episodes.added).toHaveLength(2)
})

test.each([' ', '\u200B', '\t\u2060\n'])(
  'a reference of %j is refused before anything is solved',
  async (reference) => {
    const { solve, engine } = solverOn(TWO_FLIPS, { episodes: createEpisodesInMemory() })
    await expect(solve({ reference })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      faults: [{ pointer: '/reference', detail: expect.stringContaining('normalises to nothing') }],
    })
    expect(engine.calls.open).toBe(0)
  },
)

test.each([
  ['ans 3', '3'],
  ['3\u200B', '3'],
  ['33', '33'],
])('a reference of %j is kept as %j', async (reference, kept) => {
  const episodes = createEpisodesInMemory()
  await solverOn(TWO_FLIPS, { episodes }).solve({ reference })
  expect(episodes.added[0]!.reference).toBe(kept)
})

test('a known answer is never shown to the model and never chosen by', async () => {
  const plain = solverOn(TWO_FLIPS)
  const told = solverOn(TWO_FLIPS)
  const { id: _a, timings: _b, ...without } = await plain.solve({ explain: true })
  const { id: _c, timings: _d, ...withReference } = await told.solve({ explain: true, reference: '2' })

  expect(withReference).toEqual(without)
  expect(told.engine.judged).toEqual(plain.engine.judged)
})

describe('z*', () => {
  test('decodes to the returned answer as the store rounds it, clear of the margin', async () => {
    const episodes = createEpisodesInMemory()
    await solverOn(TWO_FLIPS, { episodes }).solve()

    const { zBase, zStar } = episodes.added[0]!.latents!
    expect(decode(zBase)).toEqual([tokenOf('a')])
    expect(decode({ ...zStar, data: fromFloat16(toFloat16(zStar.data)) })).toEqual([tokenOf('c')])
    const logits = [...zStar.data].sort((a, b) => b - a)
    expect(logits[0]! - logits[1]!).toBeGreaterThan(0.2)
  })

  test.each([65_519, 65_520])('is kept with z_base where half precision holds them: %d', async (logit) => {
    const episodes = createEpisodesInMemory()
    await solverOn({ ...GOOD_DRAFT, firstLogits: { a: logit } }, { episodes }).solve()

    // Half precision ends at 65,504: 65,520 would come back infinite, and carry every later answer with it.
    expect(episodes.added[0]!.admitted).toBe(true)
    expect(episodes.added[0]!.latents !== null).toBe(logit < 65_520)
  })

  test('is z_base for a draft that was good', async () => {
    const episodes = createEpisodesInMemory()
    for (const strategy of ['greedy', 'latentseek', 'auto'] as const) {
      await solverOn(GOOD_DRAFT, { episodes }).solve({ strategy })
    }

    for (const { latents, admitted } of episodes.added) {
      expect(admitted).toBe(true)
      expect(latents!.zStar.data).toEqual(latents!.zBase.data)
      expect(decode(latents!.zBase)).toEqual([tokenOf('a'), tokenOf(':'), tokenOf('6'), tokenOf('+')])
    }
  })

  test('keeps at most the positions of the profile, however many moved', async () => {
    const episodes = createEpisodesInMemory()
    const rest = `: ${'6 + '.repeat(30)} 4 ; ans`
    const long = {
      ...TWO_FLIPS,
      routes: { a: route('1', 0.1, `${rest} 1`), b: route('3', 0.97, `${rest} 3`) },
      firstLogits: { a: 3, b: 2.5 },
    }
    const { solve, engine } = solverOn(long, { episodes })
    await solve({ budget: { maxNewTokens: 200 } })

    expect(engine.grown[0]).toHaveLength(6)
    expect(episodes.added[0]!.latents).toMatchObject({ zBase: { length: 4 }, zStar: { length: 4 } })
  })

  test('is not kept of an answer that is not admitted', async () => {
    const episodes = createEpisodesInMemory()
    await solverOn(TWO_FLIPS, { episodes }).solve({ budget: { maxIterations: 1 } })

    expect(episodes.added[0]).toMatchObject({ admitted: false, latents: null })
  })

  test('is not kept of a sample: its tokens are not what its latents decode to', async () => {
    const episodes = createEpisodesInMemory()
    await solverOn(GOOD_DRAFT, { episodes }).solve({ strategy: 'majority' })

    expect(episodes.added[0]).toMatchObject({ admitted: true, latents: null, baseReward: null })
    expect(episodes.added[0]!.candidates.filter(({ chosen }) => chosen)).toHaveLength(1)
  })

  test('does not drift while memory alone answers', async () => {
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(TWO_FLIPS, { episodes })
    for (let day = 0; day < 6; day++) await solve({ strategy: 'auto' })

    const margins = episodes.added.map(({ latents }) => {
      const sorted = [...latents!.zStar.data.subarray(0, VOCABULARY)].sort((a, b) => b - a)
      return sorted[0]! - sorted[1]!
    })
    for (const margin of margins.slice(1)) expect(margin).toBeLessThanOrEqual(margins[0]! + 0.01)
  })
})

test('a high reward whose correctness is doubted teaches nothing', async () => {
  const episodes = createEpisodesInMemory()
  const doubtful = { routes: { a: route('1', 0.4) }, firstLogits: { a: 3 } }
  const solution = await solverOn(doubtful, { episodes }).solve({ strategy: 'greedy' })

  expect(solution.reward).toBeCloseTo(-0.2, 6)
  expect(episodes.added[0]).toMatchObject({ admitted: false, latents: null })
})

test('keeps nothing when asked not to learn', async () => {
  const episodes = createEpisodesInMemory()
  const { solve, engine } = solverOn(TWO_FLIPS, { episodes })
  const solution = await solve({ learn: false, retrieval: false })

  expect(solution).toMatchObject({ answer: '3', episodeId: null, degraded: [] })
  expect(episodes.added).toEqual([])
  // Nothing is embedded or widened for a memory that is not wanted.
  expect(engine.calls).toMatchObject({ embed: 0, ascend: 2, decode: 0 })
})

test('still remembers what it was not asked to retrieve from', async () => {
  const episodes = createEpisodesInMemory()
  await solverOn(TWO_FLIPS, { episodes }).solve({ strategy: 'auto', retrieval: false })

  expect(episodes.queries).toEqual([])
  expect(episodes.added).toHaveLength(1)
})
