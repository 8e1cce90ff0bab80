import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { type Call, TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

/** The model takes its time from the n-th call of a kind on. */
function slowFrom(call: Call, nth: number): World {
  let count = 0
  return {
    ...TWO_FLIPS,
    before: async (made) => {
      if (made === call && ++count >= nth) await sleep(1000, undefined, { ref: false })
    },
  }
}

describe('maxIterations', () => {
  test('bounds the updates', async () => {
    const solution = await solverOn(TWO_FLIPS).solve({ budget: { maxIterations: 2 } })
    expect(solution).toMatchObject({ stopped: 'maxIterations', iterations: 2, answer: '1', improved: false })
  })

  test('of 0 gives the draft, searched for nothing', async () => {
    const { solve, engine } = solverOn(TWO_FLIPS)
    const solution = await solve({ budget: { maxIterations: 0 } })

    expect(solution).toMatchObject({ stopped: 'maxIterations', iterations: 0, answer: '1' })
    expect(engine.calls.ascend).toBe(0)
  })

  test('of 0 lets memory answer: transfer is no iteration', async () => {
    const episodes = createEpisodesInMemory()
    const { solve } = solverOn(TWO_FLIPS, { episodes })
    await solve({ strategy: 'auto' })

    const solution = await solve({ strategy: 'auto', budget: { maxIterations: 0 } })

    expect(solution).toMatchObject({ stopped: 'reward', iterations: 0, evaluations: 1, answer: '3' })
  })
})

describe('maxNewTokens', () => {
  test.each(['greedy', 'latentseek', 'auto', 'majority'] as const)(
    'cuts %s, which says so',
    async (strategy) => {
      for (const maxNewTokens of [1, 2, 5]) {
        const solution = await solverOn(TWO_FLIPS).solve({ strategy, budget: { maxNewTokens } })

        expect(solution).toMatchObject({ stopped: 'maxNewTokens', answer: null, reward: -1 })
        expect(solution.usage.generatedTokens).toBeLessThanOrEqual(maxNewTokens)
        expect(solution.usage.rewardTokens).toBe(0)
      }
    },
  )

  test('bounds draft and regenerations together; the best of them is returned', async () => {
    // Draft 9, first regeneration 8, and 3 of the second's 8.
    const solution = await solverOn(TWO_FLIPS).solve({ budget: { maxNewTokens: 20 }, explain: true })

    expect(solution).toMatchObject({ stopped: 'maxNewTokens', answer: '2', improved: true })
    expect(solution.usage.generatedTokens).toBe(20)
    expect(solution.candidates?.at(-1)).toMatchObject({ answer: null, reward: -1, tokens: 4 })
  })

  test('is shared out among samples, of which there are fewer when there is less than a token each', async () => {
    const some = await solverOn(TWO_FLIPS).solve({
      strategy: 'majority',
      samples: 4,
      budget: { maxNewTokens: 38 },
      explain: true,
    })
    expect(some.candidates!.map(({ tokens }) => tokens)).toEqual([9, 9, 9, 9])

    const few = await solverOn(TWO_FLIPS).solve({
      strategy: 'majority',
      samples: 8,
      budget: { maxNewTokens: 3 },
      explain: true,
    })
    expect(few.candidates).toHaveLength(3)
  })

  test('cuts an answer before its end, and nobody judges that unless the profile lets answers end anyhow', async () => {
    const cut = { strategy: 'greedy', budget: { maxNewTokens: 8 }, explain: true } as const
    const strict = await solverOn(TWO_FLIPS).solve(cut)
    expect(strict).toMatchObject({ answer: '1', reward: -1, usage: { rewardTokens: 0 } })
    expect(strict.candidates![0]!.rewardTerms).toMatchObject({
      verifier: -1,
      'format.answer': 0,
      'format.ends': -1,
    })

    const lenient = await solverOn({ ...TWO_FLIPS, profile: { format: { mustEnd: false } } }).solve(cut)
    expect(lenient).toMatchObject({ answer: '1', stopped: 'maxNewTokens', usage: { rewardTokens: 1 } })
    expect(lenient.reward).toBeCloseTo(-0.3, 6)
  })

  test('of the profile bounds each answer, not their sum', async () => {
    const solution = await solverOn(TWO_FLIPS).solve({ strategy: 'majority', samples: 16 })
    expect(solution.usage.generatedTokens).toBe(16 * 9)
  })

  test('leaves room for the judge in the context', async () => {
    const endless = { ...TWO_FLIPS, routes: { a: { ...route('1', 0.9), endless: true } } }
    const { solve, engine } = solverOn(endless)
    const solution = await solve({ strategy: 'greedy', budget: { maxNewTokens: 32_768 } })

    expect(solution.usage.promptTokens + solution.usage.completionTokens + 1).toBeLessThanOrEqual(
      engine.contextLength,
    )
  })

  test('refuses a prompt that leaves no room at all', async () => {
    const { solve, engine } = solverOn(TWO_FLIPS)
    await expect(solve({ question: '1 '.repeat(252) })).rejects.toMatchObject({ code: 'PROMPT_TOO_LONG' })
    expect(engine.calls.open).toBe(0)
  })
})

describe('maxMs', () => {
  test('returns the best answer so far', async () => {
    // The second regeneration would be the right one, but takes too long.
    const solution = await solverOn(slowFrom('generate', 3)).solve({ budget: { maxMs: 40 } })

    expect(solution).toMatchObject({ stopped: 'maxMs', answer: '2', improved: true })
    expect(solution.iterations).toBeGreaterThan(0)
  })

  test("is the solver's own unless the request sets one", async () => {
    const { solve } = solverOn(slowFrom('generate', 3), { maxMs: 40 })
    expect(await solve()).toMatchObject({ stopped: 'maxMs', answer: '2' })
    expect(await solve({ budget: { maxMs: 10_000 } })).toMatchObject({ stopped: 'reward', answer: '3' })
  })

  test('does not count an answer that nobody had time to judge', async () => {
    const solution = await solverOn(slowFrom('score', 2)).solve({ budget: { maxMs: 40 }, explain: true })

    expect(solution).toMatchObject({ stopped: 'maxMs', answer: '1', evaluations: 0 })
    expect(solution.candidates).toHaveLength(1)
    expect(new Set(solution.rewardHistory)).toEqual(new Set([solution.reward]))
  })

  test('returns a draft that nobody had time to judge; its episode steers nobody, whatever the bar', async () => {
    const episodes = createEpisodesInMemory()
    const profile = { defaults: { ...TEST_PROFILE.defaults, admitReward: -1 } }
    const { solve } = solverOn({ ...slowFrom('score', 1), profile }, { episodes })
    const solution = await solve({ budget: { maxMs: 40 } })

    expect(solution).toMatchObject({
      stopped: 'maxMs',
      answer: '1',
      reward: -1,
      degraded: [],
    })
    expect(solution.base).toEqual({ answer: '1', reward: -1 })
    expect(episodes.added).toMatchObject([
      {
        id: solution.episodeId,
        answer: '1',
        stopped: 'maxMs',
        admitted: false,
        latents: null,
        candidates: [
          { kind: 'draft', reward: -1, rewardTerms: {}, chosen: true, meetsAdmission: false, thought: null },
        ],
      },
    ])
  })

  test.each(['greedy', 'latentseek', 'auto', 'majority'] as const)(
    'has no answer from %s before the first token',
    async (strategy) => {
      for (const call of ['open', 'generate'] as const) {
        const { solve, engine } = solverOn(slowFrom(call, 1), { episodes: createEpisodesInMemory() })
        const solution = await solve({ strategy, budget: { maxMs: 30 } })

        expect(solution).toMatchObject({
          stopped: 'maxMs',
          answer: null,
          reasoning: '',
          reward: -1,
          base: null,
          episodeId: null,
        })
        expect(engine.openSessions).toBe(0)
      }
    },
  )

  test.each(['greedy', 'latentseek', 'auto'] as const)(
    'returns the part of the draft of %s that is decoded, unjudged; its episode steers nobody',
    async (strategy) => {
      const episodes = createEpisodesInMemory()
      const world = { ...slowFrom('generate', 1), decodedWhenStopped: () => 4 }
      const { solve, engine, events } = solverOn(world, { episodes })
      const solution = await solve({ strategy, budget: { maxMs: 30 } })

      expect(solution).toMatchObject({
        stopped: 'maxMs',
        answer: null,
        reasoning: 'a : 6 +',
        reward: -1,
        base: { answer: null, reward: -1 },
        iterations: 0,
        usage: { completionTokens: 4, generatedTokens: 4, rewardTokens: 0 },
      })
      expect(engine.calls).toMatchObject({ generate: 1, score: 0, ascend: 0, decode: 0 })
      expect(events.map(({ event }) => event)).toContain('draft')
      expect(episodes.added).toMatchObject([{ reasoning: 'a : 6 +', admitted: false, latents: null }])
    },
  )

  test.each(['majority', 'lto'] as const)('lets %s choose among the finished samples', async (strategy) => {
    // Of 6 rows, those of odd index are cut before their answers.
    const world = {
      ...slowFrom('generate', 1),
      decodedWhenStopped: (_: unknown, index: number) => [9, 5][index % 2]!,
    }
    const whole = await solverOn(TWO_FLIPS).solve({
      strategy: 'majority',
      samples: 6,
      seed: 3,
      explain: true,
    })
    const finished = whole.candidates!.filter((_, index) => index % 2 === 0).map(({ answer }) => answer)

    const solution = await solverOn(world).solve({ strategy, samples: 6, seed: 3, budget: { maxMs: 30 } })

    expect(solution).toMatchObject({
      stopped: 'maxMs',
      reward: -1,
      usage: { generatedTokens: 3 * 9 + 3 * 5 },
    })
    expect(solution.usage.completionTokens).toBe(9)
    expect(finished).toContain(solution.answer)
    const votes = (of: string | null) => finished.filter((answer) => answer === of).length
    expect(votes(solution.answer)).toBe(Math.max(...finished.map(votes)))
    expect(solution.degraded).toEqual([])
  })

  test('returns a part of a sample when none is finished', async () => {
    const world = { ...slowFrom('generate', 1), decodedWhenStopped: (_: unknown, index: number) => index }
    const solution = await solverOn(world).solve({ strategy: 'majority', samples: 4, budget: { maxMs: 30 } })

    expect(solution).toMatchObject({ stopped: 'maxMs', answer: null, usage: { generatedTokens: 6 } })
    expect(solution.reasoning).not.toBe('')
  })

  test('counts the tokens of a regeneration that it cuts', async () => {
    const world = { ...slowFrom('generate', 2), decodedWhenStopped: () => 3 }
    const solution = await solverOn(world).solve({ budget: { maxMs: 60 } })

    expect(solution).toMatchObject({ stopped: 'maxMs', answer: '1', usage: { generatedTokens: 9 + 3 } })
    expect(solution.reward).toBeGreaterThan(-1)
  })

  test('keeps what was learned in time', async () => {
    const episodes = createEpisodesInMemory()
    // The answer is found; the margin steps of its latents are not done in time.
    let ascents = 0
    const world: World = {
      ...TWO_FLIPS,
      before: async (call) => {
        if (call === 'ascend' && ++ascents > 2) await sleep(80)
      },
    }
    const solution = await solverOn(world, { episodes }).solve({ budget: { maxMs: 50 } })

    expect(solution).toMatchObject({ stopped: 'reward', answer: '3' })
    expect(episodes.added).toMatchObject([{ id: solution.episodeId, admitted: true, latents: null }])
  })

  test('is not held up by a memory that does not answer', async () => {
    const episodes = { ...createEpisodesInMemory(), recollect: () => new Promise<never>(() => {}) }
    const { solve } = solverOn(TWO_FLIPS, { episodes })
    const solution = await solve({ strategy: 'auto', learn: false, budget: { maxMs: 40 } })

    expect(solution).toMatchObject({ stopped: 'maxMs', answer: '1' })
  })
})

describe('a caller who went away', () => {
  test.each(['open', 'generate', 'score', 'ascend'] as const)(
    'stops the work during %s: no further call, no episode',
    async (where) => {
      const controller = new AbortController()
      const made: Call[] = []
      const episodes = createEpisodesInMemory()
      const world: World = {
        ...TWO_FLIPS,
        before(call) {
          made.push(call)
          if (call === where) controller.abort()
        },
      }
      const { solve, engine } = solverOn(world, { episodes, signal: controller.signal })

      await expect(solve()).rejects.toMatchObject({ code: 'ABORTED' })
      expect(made.at(-1)).toBe(where)
      expect(made.filter((call) => call === where)).toHaveLength(1)
      expect(engine.openSessions).toBe(0)
      expect(episodes.added).toEqual([])
    },
  )

  test('is told so, though time ran out too', async () => {
    const controller = new AbortController()
    controller.abort()
    const { solve } = solverOn(TWO_FLIPS, { signal: controller.signal })

    await expect(solve({ budget: { maxMs: 1 } })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
