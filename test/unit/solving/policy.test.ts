import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import type { JudgedAnswer, Policy } from '#ports'
import type { SolveRequest } from '#solving'
import { TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { GOOD_DRAFT, route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'
import { weaverTo } from '../../support/weaver-to.ts'

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

const withDefaults = (world: World, defaults: Partial<typeof TEST_PROFILE.defaults>): World => ({
  ...world,
  profile: { defaults: { ...TEST_PROFILE.defaults, ...defaults } },
})
const under = (world: World, policy: Policy = POLICY) => withDefaults(world, { policy, searchPays: false })
const auto = { strategy: 'auto' } as const
const VOTE: Policy = { signal: 'verifier', medium: [{ from: 0, strategy: 'majority', samples: 8 }] }
const hopeless = { ...TWO_FLIPS.routes, a: { ...TWO_FLIPS.routes['a']!, verdicts: { check: 0.01 } } }

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
    const { solve, engine } = solverOn(under({ ...TWO_FLIPS, routes: hopeless }))
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
    const { policy: step, ...solution } = await solverOn(
      withDefaults(TWO_FLIPS, { policy: policy as Policy }),
    ).solve(request)
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
    const judge = {
      version: 'judge-1',
      policy: null,
      score: async (answers: readonly unknown[]) => answers.map(() => 0.9),
    }
    const { solve } = solverOn(under(TWO_FLIPS, { ...POLICY, signal: 'judge' }), {
      activeModels: () => ({ weaver: identityWeaver, rewardModel: null, judge }),
    })
    expect(await solve(auto)).toMatchObject({ answer: '1', policy: { strategy: 'greedy', confidence: 0.9 } })
  })

  test.each([
    ['before that of the profile', 'medium', { strategy: 'majority', from: 0, signal: 'judge' }],
    [
      'for efforts that it has no bands for, by that of the profile',
      'high',
      { strategy: 'best-of-n', signal: 'verifier' },
    ],
    ['and searches where neither has any', 'low', undefined],
  ] as const)('follows the policy of the active judge, %s', async (_, effort, policy) => {
    const score = async (answers: readonly unknown[]) => answers.map(() => 0.5)
    const ofJudge: Policy = {
      signal: 'judge',
      medium: [
        { from: 0, strategy: 'majority', samples: 3 },
        { from: 0.6, strategy: 'greedy' },
      ],
    }
    const { solve } = solverOn(under(TWO_FLIPS), {
      activeModels: () => ({
        weaver: identityWeaver,
        rewardModel: null,
        judge: { version: 'judge-1', policy: ofJudge, score },
      }),
    })
    const solution = await solve({ ...auto, effort })
    if (policy === undefined) expect(solution.policy).toBeUndefined()
    else expect(solution.policy).toMatchObject(policy)
    expect(solution.evaluations > 0).toBe(true)
  })

  test('without an active judge, or one without a policy, that of the profile is followed', async () => {
    const score = async (answers: readonly unknown[]) => answers.map(() => 0.5)
    const { solve } = solverOn(under(GOOD_DRAFT), {
      activeModels: () => ({
        weaver: identityWeaver,
        rewardModel: null,
        judge: { version: 'judge-1', policy: null, score },
      }),
    })
    expect((await solve(auto)).policy).toMatchObject({ strategy: 'greedy', from: 0.8, signal: 'verifier' })
  })

  test('keeps to a search that pays, whatever a night chose among samples', async () => {
    const score = async (answers: readonly unknown[]) => answers.map(() => 0.1)
    const policy: Policy = { signal: 'judge', medium: [{ from: 0, strategy: 'majority', samples: 3 }] }
    const judge = { version: 'judge-1', policy, score }
    const solutionOf = (searchPays: boolean) =>
      solverOn(withDefaults(TWO_FLIPS, { searchPays }), {
        activeModels: () => ({ weaver: identityWeaver, rewardModel: null, judge }),
      }).solve(auto)
    expect((await solutionOf(false)).policy).toMatchObject({ strategy: 'majority' })
    const searched = await solutionOf(true)
    expect(searched.policy).toBeUndefined()
    expect(searched.iterations).toBeGreaterThan(0)
  })

  test('the draft is a candidate beside the samples, judged again now that they agree with it or not', async () => {
    const seen: JudgedAnswer[] = []
    const score = async (answers: readonly JudgedAnswer[]) => {
      seen.push(...answers)
      return answers.map(({ agreement }) => (answers.length > 1 ? 0.5 : agreement === null ? 0.1 : 0.9))
    }
    const policy: Policy = {
      signal: 'judge',
      medium: [{ from: 0, strategy: 'best-of-n', samples: 5, selector: 'judge' }],
    }
    const { solve } = solverOn(under(TWO_FLIPS), {
      activeModels: () => ({
        weaver: identityWeaver,
        rewardModel: null,
        judge: { version: 'judge-1', policy, score },
      }),
    })
    const { candidates, ...solution } = await solve({ ...auto, explain: true })
    expect(solution).toMatchObject({
      answer: '1',
      base: { answer: '1' },
      confidence: 0.9,
      evaluations: 5,
      improved: false,
      stopped: 'single',
      policy: { strategy: 'best-of-n', confidence: 0.1 },
    })
    const alike = candidates!.filter(({ kind, answer }) => kind === 'sample' && answer === '1').length
    expect(seen.map(({ agreement }) => agreement)).toEqual([
      null,
      ...candidates!
        .slice(1)
        .map((one) => candidates!.filter(({ answer }) => answer === one.answer).length - 1)
        .map((others) => others / 5),
      alike / 5,
    ])
  })

  describe('in rounds', () => {
    const BEST_OF_8 = { from: 0, strategy: 'best-of-n', samples: 8, selector: 'judge' } as const
    const ROUNDS = { ...BEST_OF_8, stopAbove: 0.8, stopBelow: 0.1 }

    interface AskedInRounds extends Partial<SolveRequest> {
      readonly band?: typeof BEST_OF_8
      readonly world?: World
    }

    /** The judge says `draft` of the draft alone, and `later` of all answers once there are samples. */
    async function ask(
      { draft = 0.5, later = 0.5 },
      { band = ROUNDS, world = TWO_FLIPS, ...request }: AskedInRounds = {},
    ) {
      const scored: number[] = []
      const score = async (answers: readonly JudgedAnswer[]) => {
        scored.push(answers.length)
        return answers.map(() => (scored.length === 1 ? draft : later))
      }
      const judge = { version: 'judge-1', policy: { signal: 'judge', medium: [band] } as Policy, score }
      const { solve, engine } = solverOn(withDefaults(world, { searchPays: false }), {
        activeModels: () => ({ weaver: identityWeaver, rewardModel: null, judge }),
      })
      const solution = await solve({ ...auto, ...request })
      return { solution, scored, seeds: engine.asked.slice(1).map(({ seed }) => seed) }
    }

    test('samples two, four, then eight, and judges the earlier answers again beside the new ones', async () => {
      const { solution, scored, seeds } = await ask({})
      expect(solution).toMatchObject({ evaluations: 8, stopped: 'single', policy: { strategy: 'best-of-n' } })
      expect(scored).toEqual([1, 2, 1, 2, 3, 4, 5])
      expect(new Set(seeds).size).toBe(8)
    })

    test('draws the samples of one batch', async () => {
      const [inRounds, atOnce] = [await ask({}), await ask({}, { band: BEST_OF_8 })]
      expect(inRounds.seeds).toEqual(atOnce.seeds)
      expect(inRounds.solution.answer).toBe(atOnce.solution.answer)
      expect(inRounds.solution.usage.generatedTokens).toBe(atOnce.solution.usage.generatedTokens)
    })

    test.each([
      ['is sure', 0.8],
      ['is hopeless', 0.09],
    ])('ends when the answer %s', async (_, later) => {
      const { solution, seeds } = await ask({ later })
      expect(solution.evaluations).toBe(2)
      expect(seeds).toHaveLength(2)
    })

    test('keeps within a budget of tokens', async () => {
      const { solution } = await ask({}, { budget: { maxNewTokens: 40 } })
      expect(solution.evaluations).toBeLessThan(8)
      expect(solution.evaluations).toBeGreaterThanOrEqual(2)
      expect(solution.usage.generatedTokens).toBeLessThanOrEqual(40)
      expect(solution.stopped).toBe('maxNewTokens')
    })

    test('returns the choice of the rounds so far when the time is up', async () => {
      let generated = 0
      const world: World = {
        ...TWO_FLIPS,
        before: async (each) => {
          generated += Number(each === 'generate')
          if (each === 'generate' && generated === 3) await new Promise((resolve) => setTimeout(resolve, 400))
        },
      }
      const { solution } = await ask({}, { world, budget: { maxMs: 150 } })
      expect(solution).toMatchObject({ evaluations: 2, stopped: 'maxMs', confidence: 0.5 })
    })
  })

  test('the text of the draft alone is emitted while it is decoded, and each sample ends at its own stop sequence', async () => {
    const world: World = {
      routes: { a: route('1', 0.01, ': 6 ; ans 1'), b: route('2', 0.01, ': 6 + 6 + 6 ; ans 2') },
      firstLogits: { a: 2, b: 1.9 },
      runTokens: 1,
    }
    const { solve, events } = solverOn(under(world, VOTE))
    const { candidates } = await solve({ ...auto, stop: [' ; ans'], explain: true })
    const texts = events.map((event) => (event.event === 'tokens' ? event.data.text : '')).join('')
    expect(texts).toBe('a : 6')
    expect(new Set(candidates!.map(({ text }) => text))).toEqual(new Set(['a : 6', 'b : 6 + 6 + 6']))
    expect(candidates).toHaveLength(9)
  })

  test('the draft has a vote', async () => {
    const votesOf = async (samples: number) => {
      const { solve } = solverOn(
        under(
          { ...TWO_FLIPS, routes: hopeless },
          { signal: 'verifier', medium: [{ from: 0, strategy: 'majority', samples }] },
        ),
      )
      const { answer, candidates } = await solve({ ...auto, explain: true })
      return { answer, votes: candidates!.map((one) => one.answer) }
    }
    for (const samples of [2, 3, 5, 8]) {
      const { answer, votes } = await votesOf(samples)
      expect(votes).toHaveLength(samples + 1)
      const countOf = (wanted: string | null) => votes.filter((vote) => vote === wanted).length
      expect(countOf(answer)).toBe(Math.max(...votes.map(countOf)))
    }
  })

  test.each([
    ['nothing is left for samples', 9, { answer: '1', evaluations: 0 }],
    ['less is left than a token for each sample', 12, { answer: '1', evaluations: 3 }],
    ['the samples are cut before their answers', 9 + 2 * 8, { answer: '1', evaluations: 8 }],
  ])('returns the draft when %s', async (_, maxNewTokens, expected) => {
    const { solve } = solverOn(under(TWO_FLIPS, VOTE))
    const solution = await solve({ ...auto, budget: { maxNewTokens } })
    expect(solution).toMatchObject({ ...expected, stopped: 'maxNewTokens', policy: { strategy: 'majority' } })
    expect(solution.usage.generatedTokens).toBeLessThanOrEqual(maxNewTokens)
  })

  test.each(['generate', 'score'] as const)(
    'returns the draft when the time is up during %s of samples',
    async (call) => {
      let made = 0
      const world: World = {
        ...TWO_FLIPS,
        before: async (each) => {
          made += Number(each === call)
          if (each === call && made === 2) await new Promise((resolve) => setTimeout(resolve, 400))
        },
      }
      const solution = await solverOn(under(world, VOTE)).solve({ ...auto, budget: { maxMs: 150 } })
      expect(solution).toMatchObject({ answer: '1', stopped: 'maxMs', policy: { strategy: 'majority' } })
    },
  )

  test('follows no memory to an answer that is less sure than the draft, though its band stops', async () => {
    const world: World = {
      ...TWO_FLIPS,
      routes: { ...TWO_FLIPS.routes, a: { ...TWO_FLIPS.routes['a']!, verdicts: { check: 0.3 } } },
    }
    const policy: Policy = {
      signal: 'verifier',
      // Nothing pays below .25, and little above .9.
      medium: [
        { from: 0, strategy: 'greedy' },
        { from: 0.25, strategy: 'majority', samples: 5 },
        { from: 0.9, strategy: 'greedy' },
      ],
    }
    const led = (word: string) =>
      solverOn(under(world, policy), {
        activeModels: () => ({ weaver: weaverTo(word, 9), rewardModel: null }),
      }).solve(auto)
    // The route of d has a P(correct) of .05, that of c .97.
    expect(await led('d')).toMatchObject({ policy: { strategy: 'majority' }, evaluations: 6 })
    expect(await led('c')).toMatchObject({ answer: '3', evaluations: 1 })
  })

  test('a budget of tokens holds for draft and samples together', async () => {
    const policy = VOTE
    const { solve } = solverOn(under(TWO_FLIPS, policy))
    const { usage, answer } = await solve({ ...auto, budget: { maxNewTokens: 20 } })
    expect(usage.generatedTokens).toBeLessThanOrEqual(20)
    expect(answer).not.toBeUndefined()
  })
})

describe('auto without a policy, where no search is known to pay', () => {
  const unmeasured = (world: World) => withDefaults(world, { searchPays: false })

  test('lets samples vote beside the draft, in rounds until three agree or the effort is spent', async () => {
    // Twelve answers: three of eight seldom agree.
    const letters = [...'abcdefghijkl']
    const many: World = {
      routes: Object.fromEntries(letters.map((letter, index) => [letter, route(String(index), 0.01)])),
      firstLogits: Object.fromEntries(letters.map((letter, index) => [letter, index === 0 ? 0.5 : 0])),
    }
    const counts = new Set<number>()
    for (const [effort, most] of [
      ['minimal', 2],
      ['low', 4],
      ['medium', 8],
    ] as const) {
      for (const world of [many, { ...TWO_FLIPS, routes: hopeless }]) {
        const { solve, engine } = solverOn(withDefaults(world, { searchPays: false, samples: 8 }))
        const { candidates, ...solution } = await solve({ ...auto, effort, explain: true, learn: false })
        const answers = candidates!.map(({ answer }) => answer)
        const votes = (count: number) =>
          Math.max(
            ...[...Map.groupBy(answers.slice(0, count + 1), (one) => one).values()].map((own) => own.length),
          )
        const rounds = [2, 4, 8].filter((count) => count <= most)
        expect(solution.evaluations).toBe(rounds.find((count) => votes(count) >= 3) ?? most)
        expect(solution).toMatchObject({ iterations: 0 })
        expect(solution.policy).toBeUndefined()
        expect(engine.calls).toMatchObject({ ascend: 0 })
        counts.add(solution.evaluations)
      }
    }
    expect([...counts]).toEqual(expect.arrayContaining([2, 4, 8]))
  })

  test('does not take texts without an answer for agreement', async () => {
    const mute = { rest: ': 6 + 4', verdicts: { check: 0.1 } }
    const world: World = { ...TWO_FLIPS, routes: { a: mute, b: mute, c: mute } }
    const { solve } = solverOn(withDefaults(world, { searchPays: false, samples: 8 }))
    expect(await solve(auto)).toMatchObject({ answer: null, evaluations: 8 })
  })

  test('lets the log-probability break ties, which the verdict of the model must not', async () => {
    // Draft and first sample differ, and the verifier believes the less likely one.
    const world: World = { ...TWO_FLIPS, firstLogits: { a: 1.2, b: -3, c: 1 } }
    for (let seed = 1; seed <= 12; seed++) {
      const profile = { searchPays: false, samples: 1, selector: 'log-probability' } as const
      const { solve } = solverOn(withDefaults(world, profile))
      const { answer, candidates } = await solve({ ...auto, seed, explain: true, learn: false })
      expect(candidates).toHaveLength(2)
      const likeliest = candidates!.reduce((one, other) =>
        other.logProbability! > one.logProbability! ? other : one,
      )
      expect(answer).toBe(likeliest.answer)
    }
  })

  test('returns a draft that passes', async () => {
    const world = withDefaults(GOOD_DRAFT, { searchPays: false, stopReward: -0.1 })
    expect(await solverOn(world).solve(auto)).toMatchObject({
      answer: '1',
      evaluations: 0,
      stopped: 'reward',
    })
  })

  test('never lets the verdict of the model choose', async () => {
    // The verifier believes the rare answer '3'.
    const rare: World = { ...TWO_FLIPS, firstLogits: { a: 3, b: -3, c: -1 } }
    expect(await solverOn(rare).solve(auto)).toMatchObject({ answer: '3' })
    expect(await solverOn(unmeasured(rare)).solve(auto)).toMatchObject({ answer: '1' })
  })

  test('returns an answer that memory leads to where it passes', async () => {
    const world = withDefaults(TWO_FLIPS, { searchPays: false, stopReward: -0.1 })
    const { solve } = solverOn(world, {
      activeModels: () => ({ weaver: weaverTo('c', 9), rewardModel: null }),
    })
    expect(await solve(auto)).toMatchObject({ answer: '3', stopped: 'reward', evaluations: 1 })
  })
})
