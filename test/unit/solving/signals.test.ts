import { expect, suite, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import type { Continuation, GenerationRow, TokenSignals } from '#ports'
import { generateBounded } from '../../../src/solving/bound-thoughts.ts'
import { joinSignals, meanSignals, sharedSignals } from '../../../src/solving/signals.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const NONE = Number.NaN

function signalsOf(...values: number[]): TokenSignals {
  return {
    logProbabilities: Float32Array.from(values, (value) => -value),
    entropies: Float32Array.from(values),
    selfCertainties: Float32Array.from(values, (value) => 2 * value),
  }
}

suite('the means over an answer', () => {
  test('leave out tokens without a signal, and are null without any', () => {
    expect(meanSignals(signalsOf(NONE, 1, 2))).toEqual({ logProbability: -1.5, selfCertainty: 3 })
    expect(meanSignals(signalsOf(1, Number.POSITIVE_INFINITY))).toMatchObject({ logProbability: -1 })
    const unknown = { logProbability: null, selfCertainty: null }
    expect(meanSignals(signalsOf(NONE))).toEqual(unknown)
    expect(meanSignals(null)).toEqual(unknown)
  })

  test('are those of two calls where one begins the answer of the other', () => {
    const joined = joinSignals(signalsOf(1, 2), signalsOf(NONE, NONE, 3))
    expect(joined).toEqual(signalsOf(1, 2, 3))
    expect(joinSignals(null, signalsOf(NONE, 3))).toEqual(signalsOf(NONE, 3))
    expect(joinSignals(signalsOf(1), null)).toBeNull()
  })

  test('cover the tokens that a prefix shares with an earlier answer, and the one behind them where it is known', () => {
    const draft = { tokens: [4, 5, 6], signals: signalsOf(1, 2, 3) }
    expect(sharedSignals([4, 5], draft)).toEqual(signalsOf(1, 2))
    expect(sharedSignals([4, 9, 6], draft)).toEqual(signalsOf(1, NONE, NONE))
    const branch = sharedSignals([4, 9], draft, -4)!
    expect([...branch.logProbabilities]).toEqual([-1, -4])
    // Its distribution is that of the draft's own token there.
    expect([...branch.entropies]).toEqual([1, 2])
    expect([...branch.selfCertainties]).toEqual([2, 4])
    expect(sharedSignals([4, 5, 6, 7], draft, -4)).toMatchObject({
      logProbabilities: Float32Array.of(-1, -2, -3, -4),
      entropies: Float32Array.of(1, 2, 3, NONE),
    })
    expect(sharedSignals([4], { ...draft, signals: null })).toBeNull()
  })

  test('cover a thought that was closed, but not the tag that closed it', async () => {
    const row: GenerationRow = {
      prefix: [],
      temperature: 0,
      seed: 1,
      maxNewTokens: 9,
      latents: 0,
      signals: true,
    }
    const session = {
      generate: async (rows: readonly GenerationRow[]): Promise<Continuation[]> =>
        rows.map(({ prefix }) => ({
          sequence: 1,
          tokens: [...prefix, 7, 8],
          latents: { data: new Float32Array(), length: 0, width: 1 },
          thought: null,
          signals: signalsOf(...prefix.map(() => NONE), 1 + prefix.length, 2 + prefix.length),
          finish: prefix.length === 0 ? 'length' : 'eos',
          generatedTokens: 2,
        })),
    }
    const codec = {
      decode: String,
      splitThought: (text: string) => ({ reasoning: text, final: null }),
      thoughtEnd: [5],
    }
    const bound = { codec, thoughtTokens: 2, signal: new AbortController().signal }
    const [answer] = await generateBounded(session, [row], bound)
    expect(answer!.tokens).toEqual([7, 8, 5, 7, 8])
    expect(answer!.signals).toEqual(signalsOf(1, 2, NONE, 4, 5))
  })
})

suite('signals of judged answers', () => {
  const world: World = {
    ...TWO_FLIPS,
    routes: {
      ...TWO_FLIPS.routes,
      a: { ...route('1', 0.1), logProbability: -0.25, selfCertainty: 9 },
      c: { ...route('3', 0.97), logProbability: -0.75, selfCertainty: 3 },
    },
  }
  const first = { kind: 'draft', logProbability: -0.25, selfCertainty: 9 }
  const found = { kind: 'regeneration', logProbability: -0.75, selfCertainty: 3 }

  test.each(['full', 'lazy'] as const)('of a %s draft and a search are explained and kept', async (draft) => {
    const episodes = createEpisodesInMemory()
    const profile = { defaults: { ...TEST_PROFILE.defaults, draft } }
    const { solve } = solverOn({ ...world, profile }, { episodes })
    const { candidates } = await solve({ strategy: 'auto', explain: true })
    for (const known of [candidates!, episodes.added[0]!.candidates]) {
      expect(known[0]).toMatchObject(first)
      expect(known.at(-1)).toMatchObject(found)
    }
  })

  test('are asked for only where they are kept, shown or chosen by', async () => {
    const asks = async (request: object, options: object = {}) => {
      const { solve, engine } = solverOn(world, options)
      await solve({ strategy: 'greedy', learn: false, ...request })
      return engine.asked.every(({ signals }) => signals === true)
    }
    expect(await asks({})).toBe(false)
    expect(await asks({ learn: true })).toBe(false) // nothing is kept without a store
    expect(await asks({ learn: true }, { episodes: createEpisodesInMemory() })).toBe(true)
    expect(await asks({ explain: true })).toBe(true)
    expect(await asks({ strategy: 'best-of-n', selector: 'log-probability' })).toBe(true)
    const judge = { version: 'judge-1', score: async (answers: readonly unknown[]) => answers.map(() => 1) }
    const activeModels = () => ({ weaver: identityWeaver, rewardModel: null, judge })
    expect(await asks({}, { activeModels })).toBe(true)
  })

  test('are part of the event of a sample', async () => {
    const { solve, events } = solverOn(world, { episodes: createEpisodesInMemory() })
    await solve({ strategy: 'majority', samples: 12, sampling: { temperature: 1 } })
    const samples = events.filter(({ event }) => event === 'candidate').map(({ data }) => data)
    const said = new Map(samples.map((sample) => ['answer' in sample ? sample.answer : null, sample]))
    expect(said.get('1')).toMatchObject({ logProbability: -0.25, selfCertainty: 9 })
    expect(said.get('3')).toMatchObject({ logProbability: -0.75, selfCertainty: 3 })
  })
})
