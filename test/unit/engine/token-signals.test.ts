import { expect, suite, test } from 'vitest'
import type { Continuation, GenerationRow } from '#ports'
import { EOS, tinySessions } from '../../support/tiny-sessions.ts'

const row: GenerationRow = {
  prefix: [],
  temperature: 0,
  seed: 1,
  maxNewTokens: 12,
  latents: 0,
  signals: true,
}
const PROMPTS = [[5, 9, 3, 7], [11, 4], [8, 21, 33, 12, 6, 40], [17]]

function numbers({ signals }: Continuation): number[][] {
  const { logProbabilities, entropies, selfCertainties } = signals!
  return [logProbabilities, entropies, selfCertainties].map((each) => Array.from(each))
}

suite('signals of tokens', () => {
  test('are one of each kind per token, the same alone, in a batch and in runs of one token', async () => {
    const [whole, inPieces] = [await tinySessions(), await tinySessions({ limits: { chunkTokens: [1, 1] } })]
    const decode = async (engine: typeof whole, session: number, index: number) => {
      engine.sessions.open(session, PROMPTS[index]!)
      const [answer] = await engine.sessions.generate(session, [
        { ...row, temperature: index % 2, maxNewTokens: 6 + 4 * index },
      ])
      return answer!
    }
    const together = await Promise.all(PROMPTS.map((_, index) => decode(whole, index, index)))
    expect(Math.max(...whole.runs.map(({ rows }) => rows))).toBe(4)
    for (const [index, answer] of together.entries()) {
      const alone = await decode(inPieces, index, index)
      expect(alone.tokens).toEqual(answer.tokens)
      const [ours, theirs] = [numbers(answer), numbers(alone)]
      expect(ours.map((each) => each.length)).toEqual(ours.map(() => answer.tokens.length))
      for (const [kind, values] of ours.entries()) {
        for (const [t, value] of values.entries()) expect(value).toBeCloseTo(theirs[kind]![t]!, 4)
      }
      expect(ours[0]!.every((value) => value < 0)).toBe(true)
      expect([...ours[1]!, ...ours[2]!].every((value) => value > 0)).toBe(true)
    }
  })

  test('are those of the decoded tokens only: NaN for a prefix, nothing new for one that has ended', async () => {
    const engine = await tinySessions()
    engine.sessions.open(1, PROMPTS[0]!)
    const [whole] = await engine.sessions.generate(1, [row])
    const prefix = whole!.tokens.slice(0, 5)
    const [grown, ended] = await engine.sessions.generate(1, [
      { ...row, prefix, maxNewTokens: 7 },
      { ...row, prefix: [9, EOS] },
    ])
    expect(grown!.tokens).toEqual(whole!.tokens)
    for (const [kind, values] of numbers(grown!).entries()) {
      expect(values.slice(0, 5)).toEqual(new Array(5).fill(Number.NaN))
      for (const [t, value] of values.slice(5).entries()) {
        expect(value).toBeCloseTo(numbers(whole!)[kind]![5 + t]!, 4)
      }
    }
    expect(numbers(ended!)).toEqual(new Array(3).fill([Number.NaN, Number.NaN]))
  })

  test('are null unless they are asked for, also beside a row that asks', async () => {
    const engine = await tinySessions()
    engine.sessions.open(1, PROMPTS[0]!)
    const [asked, silent] = await engine.sessions.generate(1, [row, { ...row, signals: false }])
    expect(silent).toMatchObject({ tokens: asked!.tokens, signals: null })
    expect(asked!.signals!.entropies).toHaveLength(asked!.tokens.length)
  })
})
