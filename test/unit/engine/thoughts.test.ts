import { describe, expect, test } from 'vitest'
import { describeDecoder, scoredLayers } from '#decoder'
import type { Continuation, GenerationRow, TokenMaps } from '#ports'
import { createRandom } from '#tensor'
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
  const D = description.hiddenSize
  const layers = scoredLayers(layerStates.length)
  const stateAt = async (prompt: readonly number[], answer: readonly number[], t: number) => {
    const states = await reference([...prompt, ...answer.slice(0, t)], [answer[t]!])
    return layers.flatMap((layer) => [...states.subarray(layer * D, (layer + 1) * D)])
  }
  const expectRows = (actual: Float32Array, expected: readonly number[]) => {
    expect(actual).toHaveLength(expected.length)
    for (const [i, value] of actual.entries()) expect(value).toBeCloseTo(expected[i]!, digits)
  }
  return async (prompt: readonly number[], { tokens, thought }: Continuation, maps?: TokenMaps) => {
    expectRows(thought!.last!, await stateAt(prompt, tokens, tokens.length - 1))
    const states = await Promise.all(tokens.map((_, t) => stateAt(prompt, tokens, t)))
    if (thought!.tokens !== undefined) {
      const count = thought!.tokens.length / states[0]!.length
      const spread = Array.from(
        { length: count },
        (_, i) => Math.floor(((i + 1) * states.length) / count) - 1,
      )
      expectRows(
        thought!.tokens,
        spread.flatMap((t) => states[t]!),
      )
    }
    if (maps === undefined) expect(thought!.gated).toBeUndefined()
    else {
      const map = (part: 0 | 1, state: readonly number[]) =>
        state.reduce((sum, x, i) => sum + x * maps.weights[part * state.length + i]!, maps.biases[part])
      const gates = states.map((state) => 1 / (1 + Math.exp(-map(1, state))))
      const gate = gates.reduce((sum, each) => sum + each, 0)
      const reward = states.reduce((sum, state, t) => sum + gates[t]! * map(0, state), 0)
      expect(thought!.gated!.gate).toBeCloseTo(gate, digits - 2)
      expect(thought!.gated!.reward).toBeCloseTo(reward, digits - 2)
    }
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

function randomMaps(version: string, seed: number, width: number): TokenMaps {
  const random = createRandom(seed)
  const weights = Float32Array.from({ length: 2 * width }, () => random.gaussian())
  return { version, weights, biases: [random.gaussian(), random.gaussian()] }
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

test('tokens are scored by the maps of their own session, in runs shared with others', async () => {
  const engine = await tinySessions({ limits: { chunkTokens: [3, 3] } })
  const check = await checked({})
  const width = scoredLayers(engine.graph.thoughtLayers).length * engine.graph.hiddenSize
  const maps = [randomMaps('lrm-1', 1, width), randomMaps('lrm-2', 2, width), undefined]
  const answers = await Promise.all(
    maps.map(async (tokenMaps, session) => {
      engine.sessions.open(session, PROMPTS[session]!, {
        priority: 'interactive',
        deadlineMs: null,
        ...(tokenMaps && { tokenMaps }),
      })
      return (await engine.sessions.generate(session, [row]))[0]!
    }),
  )
  for (const [session, answer] of answers.entries()) await check(PROMPTS[session]!, answer, maps[session])
  expect(Math.max(...engine.runs.map(({ rows }) => rows))).toBe(3)
})

test('fed answers have the sums of decoded ones, and states of their tokens on request', async () => {
  const engine = await tinySessions({ limits: { maxInputTokens: 5 } })
  const check = await checked({})
  const [prompt] = PROMPTS as [number[]]
  const tokenMaps = randomMaps('lrm-1', 3, scoredLayers(3).length * engine.graph.hiddenSize)
  engine.sessions.open(1, prompt, { priority: 'background', deadlineMs: null, tokenMaps })
  const [decoded] = await engine.sessions.generate(1, [row])
  const fed = { ...row, prefix: decoded!.tokens, maxNewTokens: 0 }
  const [plain, some, all] = await engine.sessions.generate(1, [
    fed,
    { ...fed, tokenStates: 4 },
    { ...fed, tokenStates: 100 },
  ])
  for (const answer of [decoded!, plain!, some!, all!]) await check(prompt, answer, tokenMaps)
  const count = ({ thought }: Continuation) => (thought!.tokens?.length ?? 0) / thought!.last!.length
  expect([decoded!, plain!, some!, all!].map(count)).toEqual([0, 0, 4, decoded!.tokens.length])
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

describe('pooled states', () => {
  /** Compares the states of a span of a prompt with a plain forward over it. */
  async function checkedSpans(options: TinySessionsOptions, digits = 4) {
    const { model, layerStates } = tinyModel(options)
    const reference = await thoughtReference(model, describeDecoder(model), layerStates)
    return async (
      engine: TinySessions,
      session: number,
      prompt: readonly number[],
      from: number,
      to: number,
    ) => {
      const { data } = await engine.sessions.pool(session, { from, to })
      const expected = await reference(prompt.slice(0, from + 1), [...prompt.slice(from + 1, to), 0])
      expect(data).toHaveLength(expected.length)
      for (const [i, value] of data.entries()) expect(value).toBeCloseTo(expected[i]!, digits)
    }
  }
  const prompt = [5, 9, 3, 7, 30, 31, 32, 33]

  test.each<[string, TinySessionsOptions, number?]>([
    ['plain nodes', {}],
    ['a prompt that is fed in pieces', { limits: { maxInputTokens: 3 } }],
    ['fused attention', { decoder: { fused: true, fusedNorms: true, width: 32, keyValueHeads: 1 } }],
    ['half precision', { half: true }, 1],
  ])('are the mean over the span alone: %s', async (_, options, digits) => {
    const engine = await tinySessions(options)
    const check = await checkedSpans(options, digits)
    engine.sessions.open(1, prompt)
    await check(engine, 1, prompt, 2, 6)
    await check(engine, 1, prompt, 0, 8)
    await check(engine, 1, prompt, 7, 8)
  })

  test('change neither the state of the last token nor the answer, and feed a prompt once', async () => {
    const engine = await tinySessions()
    engine.sessions.open(1, prompt)
    engine.sessions.open(2, prompt)
    const [state] = await Promise.all([engine.sessions.embed(1), engine.sessions.pool(1, { from: 2, to: 6 })])
    const fed = engine.scheduler.totals().prefillTokens
    const [answer] = await engine.sessions.generate(1, [row])
    expect(await engine.sessions.embed(2)).toEqual(state)
    const [plain] = await engine.sessions.generate(2, [row])
    expect(answer!.tokens).toEqual(plain!.tokens)
    expect(fed).toBeLessThanOrEqual(2 * prompt.length)
  })

  test('of a known prompt are known too; after a known beginning, the span is fed again', async () => {
    const engine = await tinySessions({ prefixes: { minTokens: 2, maxPrompts: 4 } })
    const check = await checkedSpans({})
    engine.sessions.open(1, prompt)
    await check(engine, 1, prompt, 2, 6)
    const fed = engine.scheduler.totals().prefillTokens
    engine.sessions.open(2, prompt)
    await check(engine, 2, prompt, 2, 6)
    expect(engine.scheduler.totals().prefillTokens).toBe(fed)
    const other = [...prompt.slice(0, 5), 40, 41, 33]
    engine.sessions.open(3, other)
    await check(engine, 3, other, 2, 6)
    expect(engine.scheduler.totals().prefillTokens).toBe(fed + other.length - 2)
  })

  test('are refused for a span that is not in the prompt, and without layer states', async () => {
    const engine = await tinySessions()
    engine.sessions.open(1, prompt)
    for (const [from, to] of [
      [-1, 2],
      [3, 3],
      [0, 9],
    ] as const) {
      await expect(engine.sessions.pool(1, { from, to })).rejects.toMatchObject({ code: 'INTERNAL' })
    }
    const without = await tinySessions({ thoughts: false })
    without.sessions.open(1, prompt)
    await expect(without.sessions.pool(1, { from: 0, to: 2 })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
    })
  })
})
