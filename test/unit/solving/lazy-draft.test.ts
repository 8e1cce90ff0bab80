import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Solution } from '#solving'
import { createRandom } from '#tensor'
import { createEpisodesInMemory, type EpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { type Call, TEST_PROFILE, tokenOf, type World } from '../../support/linear-model.ts'
import { GOOD_DRAFT, route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'
import { weaverTo } from '../../support/weaver-to.ts'

const AUTO = { strategy: 'auto' } as const
const S = TEST_PROFILE.defaults.latents

function withDraft(world: World, draft: 'full' | 'lazy'): World {
  return { ...world, profile: { ...world.profile, defaults: { ...TEST_PROFILE.defaults, draft } } }
}

const lazily = (world: World) => withDraft(world, 'lazy')

/** A memory that leads to the answer that begins with `word`: one episode in which it was found. */
async function memoryOf(word: string): Promise<EpisodesInMemory> {
  const episodes = createEpisodesInMemory()
  const routes = {
    ...TWO_FLIPS.routes,
    [word]: route('3', 0.97),
    ...(word !== 'c' && { c: route('9', 0.1) }),
  }
  const found = await solverOn({ ...TWO_FLIPS, routes }, { episodes }).solve(AUTO)
  expect(found.reasoning.startsWith(word)).toBe(true)
  return episodes
}

/** What both modes must agree on when memory's answer does not pass. */
function essence(solution: Solution) {
  const { answer, reasoning, reward, base, rewardHistory, iterations, evaluations, stopped, latents } =
    solution
  const candidates = solution.candidates!.map(({ answer: said, reward: got }) => `${said} ${got}`).sort()
  const at = [answer, reasoning, reward, base, rewardHistory, iterations, evaluations, stopped, latents]
  return { at, candidates, generated: solution.usage.generatedTokens }
}

describe('an answer that memory leads to and that passes', () => {
  test('is all that is generated: no draft is finished or judged, and there is no base', async () => {
    const episodes = await memoryOf('c')
    const { solve, engine, events } = solverOn(lazily(TWO_FLIPS), { episodes })

    const solution = await solve({ ...AUTO, explain: true })

    expect(solution).toMatchObject({ answer: '3', stopped: 'reward', base: null, improved: false })
    expect(solution).toMatchObject({ iterations: 0, evaluations: 1, rewardHistory: [solution.reward] })
    expect(solution.candidates!.map(({ kind, answer }) => [kind, answer])).toEqual([['regeneration', '3']])
    // S of the draft, and the answer (9 tokens) behind the one that its latents decode to: those of S of them.
    expect(solution.usage.generatedTokens).toBe(S + solution.usage.completionTokens - engine.grown[0]!.length)
    expect(engine.calls).toMatchObject({ generate: 2, score: 1, ascend: 0 })
    expect(events.map(({ event }) => event)).toEqual(['retrieval', 'candidate'])
  })

  test('becomes an episode with the z_base of the draft that was begun', async () => {
    const episodes = await memoryOf('c')
    const { solve, engine } = solverOn(lazily(TWO_FLIPS), { episodes })
    const solution = await solve(AUTO)

    const episode = episodes.added.at(-1)!
    expect(episode).toMatchObject({ id: solution.episodeId, baseReward: null, admitted: true })
    const { zBase, zStar } = episode.latents!
    const { signal } = new AbortController()
    expect((await engine.head.decode(zBase, signal))[0]).toBe(tokenOf('a'))
    expect((await engine.head.decode(zStar, signal))[0]).toBe(tokenOf('c'))
    expect(zBase.length).toBe(zStar.length)
  })

  test('may come from a trained weaver alone, with no memory at all', async () => {
    const learned = () => ({ weaver: weaverTo('c'), rewardModel: null })
    const { solve } = solverOn(lazily(TWO_FLIPS), { activeModels: learned })

    const solution = await solve({ ...AUTO, learn: false, retrieval: false })

    expect(solution).toMatchObject({ answer: '3', base: null, iterations: 0, evaluations: 1, retrieved: [] })
    expect(solution.model.weaverVersion).toBe('weaver-1')
  })
})

describe('an answer that memory leads to and that does not pass', () => {
  test('leaves everything as with a full draft; the draft is continued, no token decoded twice', async () => {
    const episodes = await memoryOf('b')
    const before = [...episodes.added]
    const answers: Solution[] = []
    for (const draft of ['full', 'lazy'] as const) {
      episodes.added.splice(0, Number.POSITIVE_INFINITY, ...before)
      const { solve, events } = solverOn(withDraft(TWO_FLIPS, draft), { episodes })
      answers.push(await solve({ ...AUTO, explain: true }))
      const order = draft === 'full' ? ['draft', 'candidate'] : ['candidate', 'draft']
      expect(events.map(({ event }) => event).slice(0, 3)).toEqual(['retrieval', ...order])
    }
    const [full, lazy] = answers

    expect(essence(lazy!)).toEqual(essence(full!))
    expect(lazy!.base?.answer).toBe('1')
    expect(lazy!.candidates![0]).toMatchObject({ kind: 'regeneration', answer: '2' })
  })

  test('does not stand in the way of a draft that does', async () => {
    const episodes = await memoryOf('b')
    const world = { routes: { ...TWO_FLIPS.routes, a: route('1', 0.95) }, firstLogits: TWO_FLIPS.firstLogits }
    const { solve, engine } = solverOn(lazily(world), { episodes })

    const solution = await solve({ ...AUTO, explain: true })

    expect(solution).toMatchObject({ answer: '1', base: { answer: '1' }, improved: false, stopped: 'reward' })
    expect(solution).toMatchObject({ iterations: 0, evaluations: 1 })
    expect(solution.candidates!.map(({ answer }) => answer)).toEqual(['2', '1'])
    expect(engine.calls.ascend).toBe(0)
  })
})

describe('latents that decode to the beginning of the draft', () => {
  test('cost nothing: the draft is finished in its second piece', async () => {
    const learned = () => ({ weaver: weaverTo('a'), rewardModel: null })
    const { solve, engine } = solverOn(lazily(GOOD_DRAFT), { activeModels: learned })
    const solution = await solve({ ...AUTO, explain: true })

    expect(solution).toMatchObject({ answer: '1', base: { answer: '1' }, evaluations: 0, iterations: 0 })
    expect(engine.grown).toEqual([[tokenOf('a'), tokenOf(':'), tokenOf('6'), tokenOf('+')]])
    expect(solution.usage).toMatchObject({ completionTokens: 9, generatedTokens: 9 })
  })

  test('are where the search starts when the draft fails', async () => {
    const search = async (draft: 'full' | 'lazy') => {
      const learned = () => ({ weaver: weaverTo('b', 0.9), rewardModel: null })
      return solverOn(withDraft(TWO_FLIPS, draft), { activeModels: learned }).solve({
        ...AUTO,
        explain: true,
      })
    }
    const plain = await solverOn(TWO_FLIPS).solve(AUTO)
    const lazy = await search('lazy')

    expect(essence(lazy)).toEqual(essence(await search('full')))
    expect(lazy.answer).toBe('3')
    expect(lazy.rewardHistory).not.toEqual(plain.rewardHistory)
  })
})

test('with nothing to follow it is a full draft in two pieces', async () => {
  const far = createEpisodesInMemory()
  const full = await solverOn(TWO_FLIPS).solve({ ...AUTO, explain: true })
  const { solve, engine, events } = solverOn(lazily(TWO_FLIPS), { episodes: far })
  const lazy = await solve({ ...AUTO, explain: true })

  expect(essence(lazy)).toEqual(essence(full))
  expect(engine.asked.slice(0, 2).map(({ prefix, maxNewTokens }) => [prefix.length, maxNewTokens])).toEqual([
    [0, S],
    [S, TEST_PROFILE.defaults.maxNewTokens - S],
  ])
  expect(events.map(({ event }) => event).slice(0, 2)).toEqual(['retrieval', 'draft'])
})

test('where nothing could lead, the draft is decoded in one piece', async () => {
  const { solve, engine } = solverOn(lazily(GOOD_DRAFT), { episodes: createEpisodesInMemory() })
  await solve({ ...AUTO, retrieval: false })
  expect(engine.calls.generate).toBe(1)
})

test('asks for the thought of a draft in its last piece, over all its tokens', async () => {
  const episodes = createEpisodesInMemory()
  const { solve, engine } = solverOn(lazily(GOOD_DRAFT), { episodes })
  await solve(AUTO)
  const whole = solverOn(GOOD_DRAFT, { episodes: createEpisodesInMemory() })
  await whole.solve(AUTO)

  expect(engine.asked.map(({ thought, prefix }) => [thought, prefix.length])).toEqual([
    [true, 0],
    [true, S],
  ])
  expect(whole.engine.asked.map(({ thought }) => thought)).toEqual([true])
})

describe('answers equal those of a full draft', () => {
  test('whenever memory does not pass (300 seeded worlds)', async () => {
    const random = createRandom(5)
    const words = ['a', 'b', 'c', 'd', 'e']
    const seen = { passed: 0, failed: 0, same: 0 }
    for (let seed = 0; seed < 300; seed++) {
      const firstLogits = Object.fromEntries(words.map((word) => [word, random.gaussian() * 2]))
      const verdicts = words.map((word, index) => [word, route(`${index}`, random.uniform())] as const)
      const world = { routes: Object.fromEntries(verdicts), firstLogits }
      const led = words[Math.floor(random.uniform() * words.length)]!
      const weaver = weaverTo(led, random.uniform() * 6)
      const learned = () => ({ weaver, rewardModel: null })
      const solve = (draft: 'full' | 'lazy') =>
        solverOn(withDraft(world, draft), { activeModels: learned }).solve({ ...AUTO, seed, explain: true })
      const [full, lazy] = [await solve('full'), await solve('lazy')]

      if (lazy.base === null) {
        seen.passed += 1
        expect(lazy.reward, `seed ${seed}`).toBeGreaterThan(TEST_PROFILE.defaults.stopReward)
        expect(lazy.iterations).toBe(0)
        // The gate of the full draft would have kept memory from a draft that passes.
        if (full.base!.reward <= TEST_PROFILE.defaults.stopReward) expect(lazy.answer).toBe(full.answer)
        continue
      }
      seen[lazy.evaluations > full.evaluations ? 'failed' : 'same'] += 1
      const { at, candidates } = essence(lazy)
      const others = essence(full)
      const but = (from: readonly unknown[]) => from.toSpliced(6, 1)
      expect(but(at), `seed ${seed}`).toEqual(but(others.at))
      expect(candidates).toEqual(expect.arrayContaining(others.candidates))
    }
    expect(Math.min(seen.passed, seen.failed, seen.same)).toBeGreaterThan(20)
  })
})

describe('budgets', () => {
  test.each([1, 3, 4, 5, 8, 9, 10, 13, 14, 20, 21])('hold at %d tokens', async (maxNewTokens) => {
    for (const word of ['b', 'c']) {
      const episodes = await memoryOf(word)
      const solution = await solverOn(lazily(TWO_FLIPS), { episodes }).solve({
        ...AUTO,
        budget: { maxNewTokens },
        explain: true,
      })

      expect(solution.usage.generatedTokens).toBeLessThanOrEqual(maxNewTokens)
      expect(solution.stopped).toBe(solution.answer === '3' ? 'reward' : 'maxNewTokens')
      if (solution.base !== null) expect(solution.reward).toBeGreaterThanOrEqual(solution.base.reward)
    }
  })

  test('of tokens spent on an answer that failed leave a draft that is cut', async () => {
    // 4 of the draft, 8 behind memory's prefix of one token, 1 more of the draft.
    const episodes = await memoryOf('b')
    const solution = await solverOn(lazily(TWO_FLIPS), { episodes }).solve({
      ...AUTO,
      budget: { maxNewTokens: 13 },
      explain: true,
    })

    expect(solution).toMatchObject({
      answer: '2',
      stopped: 'maxNewTokens',
      base: { answer: null, reward: -1 },
    })
    expect(solution.candidates!.map(({ tokens }) => tokens)).toEqual([9, 5])
    expect(solution.usage.generatedTokens).toBe(13)
  })

  /** The model takes its time from the n-th call of a kind on. */
  function slowFrom(call: Call, nth: number): World {
    let count = 0
    const before = async (made: Call) => {
      if (made === call && ++count >= nth) await sleep(1000, undefined, { ref: false })
    }
    return { ...lazily(TWO_FLIPS), before }
  }

  test.each([
    ['while the draft begins', 'generate', 1, { answer: null, reasoning: '', base: null }],
    ['while memory answers', 'generate', 2, { answer: null, reasoning: 'a : 6 +', base: { reward: -1 } }],
    ['while that is judged', 'score', 1, { answer: null, reasoning: 'a : 6 +', base: { reward: -1 } }],
    ['while the draft is finished', 'generate', 3, { answer: '2', base: { answer: null, reward: -1 } }],
    ['while the draft is judged', 'score', 2, { answer: '2', base: { answer: '1', reward: -1 } }],
  ] as const)('of time end %s with what is there', async (_when, call, nth, expected) => {
    const episodes = await memoryOf('b')
    const { solve, engine } = solverOn(slowFrom(call, nth), { episodes })
    const solution = await solve({ ...AUTO, budget: { maxMs: 40 } })

    expect(solution).toMatchObject({ stopped: 'maxMs', ...expected })
    expect(engine.openSessions).toBe(0)
  })

  test('a caller who went away stops it in either piece', async () => {
    for (const nth of [1, 2, 3]) {
      const controller = new AbortController()
      const episodes = await memoryOf('b')
      const remembered = episodes.added.length
      let calls = 0
      const before = (made: Call) => {
        if (made === 'generate' && ++calls === nth) controller.abort()
      }
      const { solve, engine } = solverOn(
        { ...lazily(TWO_FLIPS), before },
        { episodes, signal: controller.signal },
      )

      await expect(solve(AUTO)).rejects.toMatchObject({ code: 'ABORTED' })
      expect(engine.calls.generate).toBe(nth)
      expect(engine.openSessions).toBe(0)
      expect(episodes.added).toHaveLength(remembered)
    }
  })
})

describe('shifts of neighbours', () => {
  /** The draft of another question begins with 'b', so the neighbour's first latents mean another word. */
  const OTHER: World = { ...TWO_FLIPS, firstLogits: { a: 2, b: 3, c: 1.4, d: -2 } }
  const withShifts = (world: World, shifts: 'agreeing' | 'all'): World => ({
    ...world,
    profile: { defaults: { ...TEST_PROFILE.defaults, shifts } },
  })

  test('count only where the tokens of both drafts agree', async () => {
    for (const [shifts, moved] of [
      ['agreeing', false],
      ['all', true],
    ] as const) {
      const episodes = await memoryOf('c')
      const { solve } = solverOn(withShifts(OTHER, shifts), { episodes })
      const solution = await solve(AUTO)
      expect(solution.retrieved).toHaveLength(1)
      expect(episodes.added.at(-1)!.ancestors).toHaveLength(moved ? 1 : 0)
    }
  })

  test('cut the answer at the first token that they change, and its episode keeps the latents up to there', async () => {
    for (const [shifts, positions] of [
      ['agreeing', 1],
      ['all', S],
    ] as const) {
      const episodes = await memoryOf('c')
      const { solve, engine } = solverOn(withShifts(TWO_FLIPS, shifts), { episodes })
      await solve(AUTO)
      expect(engine.grown[0]).toHaveLength(positions)
      expect(episodes.added.at(-1)!.latents!.zStar).toHaveLength(positions)
    }
  })
})
