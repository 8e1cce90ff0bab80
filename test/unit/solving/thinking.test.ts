/** @file Models that think: the answer stands after the thought, and a bound on thoughts leaves tokens for it. */

import { expect, suite, test } from 'vitest'
import type { Continuation, GenerationRow } from '#ports'
import { splitThought } from '../../../src/engine/thinking.ts'
import { generateBounded } from '../../../src/solving/bound-thoughts.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { END, encode, TEST_PROFILE, tokenOf, type World } from '../../support/linear-model.ts'
import { route, solverOn } from '../../support/solve-in-memory.ts'

const TAGS = { open: 'wise', close: 'foolish' }
const codec = {
  splitThought: (text: string) => splitThought(text, TAGS, false),
  thoughtEnd: encode('foolish'),
}

function worldOf(rest: string): World {
  return { routes: { a: route('', 0.9, rest) }, firstLogits: { a: 3 }, codec }
}

suite('a model that thinks', () => {
  test('answers with the text after the thought, and its thought is the reasoning', async () => {
    const episodes = createEpisodesInMemory()
    const { solve, events } = solverOn(worldOf('wise 6 + 4 ; ans 5 foolish ans 7'), { episodes })
    const solution = await solve({ strategy: 'greedy' })
    expect(solution).toMatchObject({ answer: '7', reasoning: 'a  6 + 4 ; ans 5' })
    expect(events[0]).toMatchObject({ data: { answer: '7', reasoning: solution.reasoning } })
    expect(episodes.added[0]).toMatchObject({
      answer: '7',
      reasoning: solution.reasoning,
      candidates: [{ text: 'a wise 6 + 4 ; ans 5 foolish ans 7' }],
    })
  })

  test.each([
    ['a thought that was cut off', 'wise 6 + 4 ; ans 5'],
    ['a thought without an answer', 'wise 6 + 4 ; ans 5 foolish'],
  ])('has no answer after %s, and is not judged', async (_, rest) => {
    const { solve, engine } = solverOn(worldOf(rest))
    expect(await solve({ strategy: 'greedy' })).toMatchObject({ answer: null, reward: -1 })
    expect(engine.calls.score).toBe(0)
  })
})

test('the text of an answer ends before its end token, even if the tokenizer gives that one a text', async () => {
  const shown = (tokens: readonly number[]) => tokens.map((token) => (token === END ? '<end>' : 'w')).join('')
  const { solve } = solverOn({ ...worldOf('; ans 7'), codec: { decode: shown } })
  expect((await solve({ strategy: 'greedy' })).reasoning).toBe('wwww')
})

suite('a bound on the tokens of a thought', () => {
  const THOUGHT = encode('wise 1 2 3 4 5 6 7 8 9')
  const row: GenerationRow = {
    prefix: [],
    temperature: 0,
    seed: 1,
    maxNewTokens: 20,
    latents: 2,
    thought: true,
  }

  /** A session that writes one word after another; `says` returns the words of an answer with a given prefix. */
  function sessionOf(says: (prefix: readonly number[]) => readonly number[], onCall?: () => void) {
    const calls: (readonly GenerationRow[])[] = []
    const session = {
      async generate(rows: readonly GenerationRow[]): Promise<Continuation[]> {
        calls.push(rows)
        onCall?.()
        return rows.map(({ prefix, maxNewTokens, latents }, index) => {
          const all = says(prefix)
          const decoded = all.slice(0, maxNewTokens)
          return {
            sequence: calls.length * 10 + index,
            tokens: [...prefix, ...decoded],
            latents: { data: new Float32Array(latents), length: latents, width: 1 },
            thought: null,
            signals: null,
            finish: decoded.length < all.length ? 'length' : 'eos',
            generatedTokens: decoded.length,
          }
        })
      },
    }
    return { session, calls }
  }
  const words = (tokens: readonly number[]) => tokens.join(' ')
  const bound = (thoughtTokens: number, signal = new AbortController().signal) => ({
    codec: {
      ...codec,
      decode: (tokens: readonly number[]) =>
        tokens.includes(tokenOf('wise')) && !tokens.includes(tokenOf('foolish')) ? 'wise' : words(tokens),
    },
    thoughtTokens,
    signal,
  })

  test('closes the thought and decodes the answer with the rest of the tokens', async () => {
    const { session, calls } = sessionOf((prefix) => (prefix.length === 0 ? THOUGHT : encode('ans 7')))
    const [continuation] = await generateBounded(session, [row], bound(4))
    expect(calls.map(([each]) => each!.maxNewTokens)).toEqual([4, 20 - 4 - 1])
    expect(calls[1]![0]).toMatchObject({ prefix: [...THOUGHT.slice(0, 4), tokenOf('foolish')], latents: 0 })
    expect(continuation).toMatchObject({
      tokens: [...THOUGHT.slice(0, 4), tokenOf('foolish'), ...encode('ans 7')],
      finish: 'eos',
      generatedTokens: 4 + 2,
      sequence: 20,
      latents: { length: 2 },
    })
  })

  test('lets an answer that is no thought go on, and leaves finished rows alone', async () => {
    const { session, calls } = sessionOf((prefix) => encode('1 2 3 4 5 6').slice(prefix.length))
    const rows = [row, { ...row, prefix: encode('1 2 3 4') }]
    const [long, short] = await generateBounded(session, rows, bound(4))
    expect(calls.map((each) => each.map(({ maxNewTokens }) => maxNewTokens))).toEqual([
      [4, 1],
      [16, 19],
    ])
    expect(long).toMatchObject({ tokens: encode('1 2 3 4 5 6'), finish: 'eos', generatedTokens: 6 })
    expect(short).toMatchObject({ tokens: encode('1 2 3 4 5 6'), finish: 'eos', generatedTokens: 2 })
  })

  test('closes nothing when no token or no time is left', async () => {
    const { session, calls } = sessionOf(() => THOUGHT)
    const [cut] = await generateBounded(session, [{ ...row, maxNewTokens: 5 }], bound(4))
    expect(cut).toMatchObject({ finish: 'length', generatedTokens: 4 })
    expect(calls).toHaveLength(1)

    const over = new AbortController()
    const late = sessionOf(
      () => THOUGHT,
      () => over.abort(),
    )
    const [thought] = await generateBounded(late.session, [row], bound(4, over.signal))
    expect(thought).toMatchObject({ tokens: THOUGHT.slice(0, 4), finish: 'length' })
    expect(late.calls).toHaveLength(1)
  })

  test('is none without tags, and without a limit', async () => {
    const { session, calls } = sessionOf(() => THOUGHT)
    const without = { ...bound(4), codec: { ...bound(4).codec, thoughtEnd: null } }
    await generateBounded(session, [row], without)
    await generateBounded(session, [row], bound(Number.POSITIVE_INFINITY))
    expect(calls).toEqual([[row], [row]])
  })

  test('comes from the profile', async () => {
    const world = worldOf('wise 1 2 3 4 5 6 ; foolish ans 7')
    const profile = { defaults: { ...TEST_PROFILE.defaults, maxThoughtTokens: 4 } }
    const { solve, engine } = solverOn({ ...world, profile })
    const { usage } = await solve({ strategy: 'greedy' })
    expect(engine.asked.map(({ maxNewTokens }) => maxNewTokens)).toEqual([4, 48 - 4 - 1])
    expect(engine.asked[1]!.prefix).toEqual(encode('a wise 1 2 foolish'))
    expect(usage.completionTokens).toBe(usage.generatedTokens + 1)
  })
})
