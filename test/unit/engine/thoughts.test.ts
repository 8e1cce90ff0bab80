import { describe, expect, test } from 'vitest'
import { describeDecoder } from '#decoder'
import type { Continuation, GenerationRow } from '#ports'
import { thoughtReference } from '../../support/full-forward.ts'
import {
  EOS,
  type TinySessions,
  type TinySessionsOptions,
  tinyModel,
  tinySessions,
} from '../../support/tiny-sessions.ts'

const row: GenerationRow = {
  prefix: [],
  temperature: 0,
  seed: 1,
  maxNewTokens: 14,
  latents: 2,
  thought: true,
}
const PROMPTS = [[5, 9, 3, 7], [11, 4], [8, 21, 33, 12, 6, 40], [17]]

/** Compares thoughts with a plain forward over prompt and answer. */
async function checked(options: TinySessionsOptions, digits = 4) {
  const { model, layerStates } = tinyModel(options)
  const description = describeDecoder(model)
  const reference = await thoughtReference(model, description, layerStates)
  return async (prompt: readonly number[], { tokens, thought }: Continuation) => {
    const expected = await reference(prompt, tokens)
    expect(thought).toMatchObject({ layers: description.layers + 1, width: description.hiddenSize })
    expect(thought!.data).toHaveLength(expected.length)
    for (const [i, value] of thought!.data.entries()) expect(value).toBeCloseTo(expected[i]!, digits)
  }
}

async function generate(
  engine: TinySessions,
  session: number,
  prompt: readonly number[],
  some: Partial<GenerationRow>,
) {
  engine.sessions.open(session, prompt)
  const [continuation] = await engine.sessions.generate(session, [{ ...row, ...some }])
  return continuation!
}

describe.each<[string, TinySessionsOptions, number?]>([
  ['plain nodes', {}],
  ['fused attention and norms', { decoder: { fused: true, fusedNorms: true, width: 32, keyValueHeads: 1 } }],
  ['half precision', { half: true }, 1],
  ['fused half precision', { half: true, decoder: { fused: true, width: 32 } }, 1],
])('thoughts of a decoder with %s', (_, decoder, digits) => {
  test.each([1, 3, 64])('are the mean over the answer, padded and in runs of %i tokens', async (chunk) => {
    const options = { ...decoder, limits: { chunkTokens: [chunk, chunk] as const } }
    const engine = await tinySessions(options)
    const check = await checked(options, digits)
    const answers = await Promise.all(
      PROMPTS.map((prompt, index) =>
        generate(engine, index, prompt, { temperature: index % 2, maxNewTokens: 9 + 4 * index }),
      ),
    )
    for (const [index, prompt] of PROMPTS.entries()) await check(prompt, answers[index]!)
    expect(Math.max(...engine.runs.map(({ rows }) => rows))).toBe(4)
  })

  test('cover a prefix as well, whether or not it was decoded before, also a long one fed in pieces', async () => {
    const engine = await tinySessions({ ...decoder, limits: { maxInputTokens: 5 } })
    const check = await checked(decoder, digits)
    const prompt = [5, 9, 3, 7, 30, 31, 32]
    const full = await generate(engine, 1, prompt, {})
    await check(prompt, full)
    const prefixes = [full.tokens.slice(0, 1), full.tokens.slice(0, 5), [20, 21, 22, 23, 24, 25, 26, 27, 28]]
    const answers = await engine.sessions.generate(
      1,
      prefixes.map((prefix) => ({ ...row, prefix })),
    )
    for (const answer of answers) await check(prompt, answer)
  })
})

describe('thoughts', () => {
  test('end with EOS, and are those of the prefix if it has ended or fills the context', async () => {
    const engine = await tinySessions({ contextLength: 12 })
    const check = await checked({})
    const prompt = PROMPTS[0]!
    const sampled = await Promise.all(
      Array.from({ length: 40 }, (_, seed) =>
        generate(engine, 10 + seed, prompt, { temperature: 3, seed, maxNewTokens: 8 }),
      ),
    )
    const ended = sampled.filter(({ finish, tokens }) => finish === 'eos' && tokens.length > 1)
    expect(ended.length).toBeGreaterThan(0)
    for (const answer of ended) await check(prompt, answer)

    engine.sessions.open(1, prompt)
    const prefixes = [[20, 21, EOS, 22], [EOS], [20, 21, 22, 23, 24, 25, 26, 27]]
    const answers = await engine.sessions.generate(
      1,
      prefixes.map((prefix) => ({ ...row, prefix })),
    )
    expect(answers.map(({ generatedTokens }) => generatedTokens)).toEqual([0, 0, 0])
    for (const answer of answers) await check(prompt, answer)
  })

  test('cover the answer alone after a known prompt, and only the new text after another sequence', async () => {
    const options = { prefixes: { minTokens: 2, maxPrompts: 4 } }
    const engine = await tinySessions(options)
    const check = await checked({})
    const prompt = [5, 9, 3, 7, 30, 31]
    await check(prompt, await generate(engine, 1, prompt, {}))
    await check(prompt, await generate(engine, 2, prompt, {}))
    expect(engine.scheduler.totals().prefixHits).toBeGreaterThan(0)
    const [first] = await engine.sessions.generate(2, [{ ...row, maxNewTokens: 5 }])
    const [second] = await engine.sessions.generate(2, [
      { ...row, sequence: first!.sequence, prefix: [9, 10] },
    ])
    await check([...prompt, ...first!.tokens], second!)
  })

  test('survive a batch that is tried again row by row', async () => {
    const engine = await tinySessions()
    const check = await checked({})
    engine.failFrom(2)
    const answers = await Promise.all(PROMPTS.map((prompt, index) => generate(engine, index, prompt, {})))
    for (const [index, prompt] of PROMPTS.entries()) await check(prompt, answers[index]!)
  })

  test('are null by default, for an empty answer, and for a model without identified layers', async () => {
    const engine = await tinySessions()
    expect((await generate(engine, 1, PROMPTS[0]!, { thought: false })).thought).toBeNull()
    expect((await generate(engine, 2, PROMPTS[0]!, { maxNewTokens: 0 })).thought).toBeNull()
    const without = await tinySessions({ thoughts: false })
    const { thought, tokens } = await generate(without, 1, PROMPTS[0]!, {})
    expect(thought).toBeNull()
    expect(tokens).toEqual((await generate(engine, 3, PROMPTS[0]!, {})).tokens)
  })

  test('are collected in runs with rows that want none, and change no tokens', async () => {
    const engine = await tinySessions()
    const check = await checked({})
    const mixed = await Promise.all(
      PROMPTS.map((prompt, index) => generate(engine, index, prompt, { thought: index % 2 === 0 })),
    )
    const plain = await Promise.all(
      PROMPTS.map((prompt, index) => generate(engine, 10 + index, prompt, { thought: false })),
    )
    expect(mixed.map(({ tokens }) => tokens)).toEqual(plain.map(({ tokens }) => tokens))
    expect(mixed.map(({ thought }) => thought === null)).toEqual([false, true, false, true])
    await check(PROMPTS[2]!, mixed[2]!)
  })
})
