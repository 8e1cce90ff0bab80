import { describe, expect, test } from 'vitest'
import type { GenerationRow } from '#ports'
import { type TinySessions, type TinySessionsOptions, tinySessions } from '../../support/tiny-sessions.ts'

const ROW: GenerationRow = { prefix: [], temperature: 0, seed: 1, maxNewTokens: 12, latents: 12 }
const PROMPTS = [
  [5, 9, 3, 7],
  [11, 4],
  [8, 21, 33, 12, 6, 40],
]
const DECODERS: readonly TinySessionsOptions[] = [
  { half: true },
  { half: true, decoder: { head: 'tied', keyValueHeads: 1, width: 32 } },
  { half: true, decoder: { head: 'gemm', bias: true, softCap: 5 } },
  { half: true, decoder: { fused: true, width: 32 } },
]

/** All prompts at once, so that rows are padded. */
async function decode({ sessions }: TinySessions, row = ROW) {
  return await Promise.all(
    PROMPTS.map(async (prompt, index) => {
      sessions.open(index, prompt)
      const [continuation] = await sessions.generate(index, [row])
      return continuation!
    }),
  )
}

describe.each(DECODERS)('a decoder in half precision: %o', (options) => {
  test('decodes the tokens of single precision, up to the first near tie', async () => {
    const half = await tinySessions(options)
    const single = await tinySessions({ ...options, half: false })
    const [halves, singles] = [await decode(half), await decode(single)]

    let compared = 0
    for (const [index, { tokens, latents }] of halves.entries()) {
      const { tokens: expected, latents: states } = singles[index]!
      const parted = tokens.findIndex((token, t) => token !== expected[t])
      const alike = parted === -1 ? tokens.length : parted
      const width = latents.width
      for (let i = 0; i < alike * width; i++) expect(latents.data[i]).toBeCloseTo(states.data[i]!, 1)
      compared += alike
      if (parted === -1) continue
      // Where they differ, the two tokens are nearly equal in single precision.
      const state = states.data.slice(parted * width, (parted + 1) * width)
      const [logits] = await single.head.logits(state, [expected[parted]!, tokens[parted]!])
      expect(logits![0]! - logits![1]!).toBeLessThan(0.1)
    }
    expect(compared).toBeGreaterThan(12)
  })

  test('decodes the same tokens in one run and in chunks of one token, alone and padded', async () => {
    const whole = await decode(await tinySessions({ ...options, limits: { chunkTokens: [1024, 1024] } }))
    const cut = await decode(await tinySessions({ ...options, limits: { chunkTokens: [1, 1] } }))

    expect(cut.map(({ tokens }) => tokens)).toEqual(whole.map(({ tokens }) => tokens))
    const alone = await tinySessions(options)
    alone.sessions.open(1, PROMPTS[1]!)
    const [continuation] = await alone.sessions.generate(1, [ROW])
    expect(continuation!.tokens).toEqual(whole[1]!.tokens)
  })

  test('keeps latents and Adam in single precision: updates that half precision would lose add up', async () => {
    const { head, sessions } = await tinySessions(options)
    sessions.open(1, PROMPTS[0]!)
    const [draft] = await sessions.generate(1, [{ ...ROW, maxNewTokens: 2, latents: 2 }])
    const { latents, tokens } = draft!
    // Values near 1 are 1e-3 apart in half precision; a hundred updates of 1e-5 are one such step.
    const lr = 1e-5
    const moved = await head.ascend({
      latents,
      actions: [tokens],
      advantages: [-1],
      lr,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      temperature: 1,
      maxSteps: 100,
      untilChanged: false,
      adam: { m: new Float32Array(latents.data.length), v: new Float32Array(latents.data.length), step: 0 },
    })

    expect(moved.latents.data).toBeInstanceOf(Float32Array)
    const shifts = moved.latents.data.map((value, i) => Math.abs(value - latents.data[i]!))
    expect(Math.max(...shifts)).toBeGreaterThan(50 * lr)
    expect(Math.max(...shifts)).toBeLessThan(150 * lr)
  })

  test('samples and scores', async () => {
    const { sessions } = await tinySessions(options)
    sessions.open(1, PROMPTS[0]!)
    const sampled = { ...ROW, temperature: 1, latents: 0 }
    const [first, again] = await sessions.generate(1, [sampled, sampled])
    expect(first!.tokens).toEqual(again!.tokens)

    const [logits] = await sessions.score(1, [{ sequence: first!.sequence, suffix: [7] }], [3, 4])
    expect(logits!.every(Number.isFinite)).toBe(true)
  })
})
