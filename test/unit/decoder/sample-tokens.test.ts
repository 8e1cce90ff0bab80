import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { MAX_CANDIDATES } from '#decoder'
import { createModel, createTape, encodeModel, value } from '#onnx'
import type { SamplingRules } from '#ports'
import { createRandom } from '#tensor'
import { emitNextToken, emitSamples } from '../../../src/decoder/sample-tokens.ts'
import { floats, ints } from '../../support/run-generation.ts'
import { drawFrom, weightsByRules } from '../../support/sample-by-rules.ts'

interface Row {
  readonly logits: ArrayLike<number>
  readonly temperature: number
  readonly uniform: number
  readonly rules?: SamplingRules
  readonly seen?: readonly number[]
}

const INPUTS = {
  temperature: 'float32',
  uniforms: 'float32',
  top_k: 'int64',
  top_p: 'float32',
  min_p: 'float32',
  repetition_penalty: 'float32',
} as const

/** Returns a function that picks one token per row. */
async function sampler(vocabularySize: number) {
  const tape = createTape(['logits', 'seen', 'any_sampled', 'any_penalised', ...Object.keys(INPUTS)])
  const tokens = emitNextToken(tape, 'logits', {
    vocabularySize,
    temperature: 'temperature',
    topK: 'top_k',
    topP: 'top_p',
    minP: 'min_p',
    repetitionPenalty: 'repetition_penalty',
    seenTokens: 'seen',
    uniforms: 'uniforms',
    anySampled: 'any_sampled',
    anyPenalised: 'any_penalised',
  })
  const graph = tape.graph({
    name: 'next_token',
    inputs: [
      value('logits', 'float32', ['B', vocabularySize]),
      value('seen', 'int64', ['B', 'N']),
      value('any_sampled', 'bool', []),
      value('any_penalised', 'bool', []),
      ...Object.entries(INPUTS).map(([name, type]) => value(name, type, ['B'])),
    ],
    outputs: [value(tokens, 'int64', ['B'])],
  })
  const session = await InferenceSession.create(encodeModel(createModel(graph, { '': 21 })))
  return async (rows: readonly Row[]): Promise<number[]> => {
    const B = rows.length
    const width = Math.max(...rows.map(({ seen = [] }) => seen.length))
    const penalties = rows.map(({ rules }) => rules?.repetitionPenalty ?? 1)
    const flag = (isSet: boolean) => new Tensor('bool', Uint8Array.of(Number(isSet)), [])
    const seen = rows.flatMap((row) =>
      Array.from({ length: width }, (_, i) => row.seen?.[i] ?? row.seen?.[0] ?? 0),
    )
    const results = await session.run({
      logits: floats(
        rows.flatMap(({ logits }) => Array.from(logits)),
        [B, vocabularySize],
      ),
      seen: ints(seen, [B, width]),
      any_sampled: flag(rows.some(({ temperature }) => temperature > 0)),
      any_penalised: flag(penalties.some((penalty) => penalty !== 1)),
      temperature: floats(
        rows.map(({ temperature }) => temperature),
        [B],
      ),
      uniforms: floats(
        rows.map(({ uniform }) => uniform),
        [B],
      ),
      top_k: ints(
        rows.map(({ rules }) => rules?.topK || MAX_CANDIDATES),
        [B],
      ),
      top_p: floats(
        rows.map(({ rules }) => rules?.topP ?? 1),
        [B],
      ),
      min_p: floats(
        rows.map(({ rules }) => rules?.minP ?? 0),
        [B],
      ),
      repetition_penalty: floats(penalties, [B]),
    })
    return Array.from(results[tokens]!.data as BigInt64Array, Number)
  }
}

function expectedOf({ logits, temperature, uniform, rules, seen }: Row): number {
  return drawFrom(weightsByRules(logits, temperature, rules, seen), uniform)
}

/** `scale` times a normal, in fp32: values below are exact in the graph too. */
function randomLogits(count: number, seed: number, scale = 3): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: count }, () => scale * random.gaussian())
}

const RULES: readonly (readonly [name: string, rules: SamplingRules])[] = [
  ['none', {}],
  ['top-k 1', { topK: 1 }],
  ['top-k', { topK: 20 }],
  ['top-k at its bound', { topK: MAX_CANDIDATES }],
  ['top-p', { topP: 0.8 }],
  ['a top-p of next to nothing', { topP: 1e-6 }],
  ['min-p', { minP: 0.05 }],
  ['min-p 1', { minP: 1 }],
  ['all three', { topK: 40, topP: 0.9, minP: 0.02 }],
  ['a penalty', { repetitionPenalty: 1.3 }],
  ['a reward', { repetitionPenalty: 0.7 }],
  ['all four', { topK: 30, topP: 0.95, minP: 0.01, repetitionPenalty: 1.1 }],
]

describe.each([20, 86, 500, 3000])('in a vocabulary of %i', (vocabulary) => {
  test.each(RULES)('1,000 draws are those of the plain rule: %s', async (_, rules) => {
    const pick = await sampler(vocabulary)
    const random = createRandom(vocabulary)
    const rows = Array.from({ length: 40 }, (_, seed) => {
      const seen = Array.from({ length: 12 }, () => Math.floor(random.uniform() * vocabulary))
      const temperature = Math.fround([0.5, 0.7, 1, 1.5][seed % 4]!)
      // A tenth of the logits is rounded, so that some are equal.
      const logits = randomLogits(vocabulary, seed).map((x, i) => (i % 10 ? x : Math.round(x)))
      return { logits, temperature, rules, seen }
    })
    const weights = rows.map(({ logits, temperature, seen }) =>
      weightsByRules(logits, temperature, rules, seen),
    )
    for (let draw = 0; draw < 25; draw++) {
      const drawn = rows.map((row): Row => ({ ...row, uniform: random.uniform() }))
      expect(await pick(drawn)).toEqual(drawn.map(({ uniform }, row) => drawFrom(weights[row]!, uniform)))
    }
  })
})

test('rows of unlike rules in one batch pick what they pick alone', async () => {
  const pick = await sampler(700)
  const random = createRandom(4)
  const rows = RULES.flatMap(([, rules], index) =>
    [0, 0.8, 1.2].map(
      (temperature): Row => ({
        logits: randomLogits(700, index),
        temperature: Math.fround(temperature),
        uniform: random.uniform(),
        rules,
        seen: index % 2 ? [index, 3 * index, 690] : [],
      }),
    ),
  )
  const together = await pick(rows)
  for (const [index, row] of rows.entries()) expect(await pick([row])).toEqual([together[index]])
})

test('a temperature of 0 takes the first of the greatest logits, whatever the rules', async () => {
  const pick = await sampler(300)
  const rows = RULES.map(
    ([, rules], seed): Row => ({
      logits: randomLogits(300, seed).map((x, i) => (i === 77 || i === 200 ? 50 : x)),
      temperature: 0,
      uniform: 0.99,
      rules: { ...rules, repetitionPenalty: 5 },
      seen: [77],
    }),
  )
  expect(await pick(rows)).toEqual(rows.map(() => 77))
  expect(await pick([...rows, { ...rows[0]!, temperature: 1 }])).toEqual([...rows.map(() => 77), 200])
})

test('tokens are drawn as often as they are likely', async () => {
  const pick = await sampler(200)
  const rules = { topK: 12, topP: 0.9 }
  const logits = randomLogits(200, 3, 1)
  const count = 4096
  // Uniforms at equal distances: every count is exact to one.
  const rows = Array.from({ length: count }, (_, i) => ({
    logits,
    temperature: 1,
    uniform: (i + 0.5) / count,
    rules,
  }))
  const drawn = Map.groupBy(await pick(rows), (token) => token)
  const weights = weightsByRules(logits, 1, rules)
  const total = weights.reduce((sum, { weight }) => sum + weight, 0)
  expect([...drawn.keys()].sort((a, b) => a - b)).toEqual(weights.map(({ token }) => token))
  expect(weights.length).toBeGreaterThan(5)
  for (const { token, weight } of weights) {
    expect(Math.abs(drawn.get(token)!.length - (count * weight) / total)).toBeLessThanOrEqual(1)
  }
})

describe('ties', () => {
  const all = async (logits: readonly number[], rules: SamplingRules) => {
    const pick = await sampler(logits.length)
    const uniforms = Array.from({ length: 64 }, (_, i) => i / 64)
    const tokens = await pick(uniforms.map((uniform) => ({ logits, temperature: 1, uniform, rules })))
    return [...new Set(tokens)].sort((a, b) => a - b)
  }
  test('top-k keeps the lowest ids', async () => {
    expect(await all([1, 2, 2, 2, 2, 0], { topK: 3 })).toEqual([1, 2, 3])
  })
  test('top-p ends with the token that reaches it', async () => {
    expect(await all([0, 0, 0, 0], { topP: 0.5 })).toEqual([0, 1])
    expect(await all([0, 0, 0, 0], { topP: 0.51 })).toEqual([0, 1, 2])
  })
  test('min-p keeps what is as likely as the first', async () => {
    expect(await all([3, 1, 3, 2.999], { minP: 1 })).toEqual([0, 2])
  })
  test('the bound on the candidates keeps the lowest ids', async () => {
    const tokens = await all(new Array<number>(300).fill(1), {})
    expect(Math.max(...tokens)).toBe(MAX_CANDIDATES - 2) // the last of 64 uniforms is 1 - 1/64
  })
})

test('the greatest uniform and a token of probability 0', async () => {
  const pick = await sampler(200)
  const logits = Array.from({ length: 200 }, (_, token) => (token === 150 || token === 151 ? 0 : -1000))
  const at = (uniform: number) => ({ logits, temperature: 1, uniform })
  expect(await pick([at(0), at(0.5 - 2 ** -24), at(0.5), at(1 - 2 ** -24)])).toEqual([150, 150, 151, 151])
})

test.each([20, 500, 2000])('NaN among %i logits is never picked, and changes no other row', async (V) => {
  const pick = await sampler(V)
  const healthy: Row = { logits: randomLogits(V, 1), temperature: 1, uniform: 0.7, rules: { topK: 9 } }
  const some: Row = { ...healthy, logits: randomLogits(V, 2).map((x, i) => (i % 3 ? Number.NaN : x)) }
  const none: Row = { ...healthy, logits: new Array<number>(V).fill(Number.NaN) }
  const [first, picked, empty, last, greedy] = await pick([
    healthy,
    some,
    none,
    { ...healthy, uniform: 0.1 },
    { ...none, temperature: 0 },
  ])
  expect([first, last]).toEqual([expectedOf(healthy), expectedOf({ ...healthy, uniform: 0.1 })])
  expect(picked! % 3).toBe(0)
  expect(picked).toBe(expectedOf(some))
  expect(empty).toBe(0)
  expect(greedy).toBeGreaterThanOrEqual(0)
  expect(greedy).toBeLessThan(V)
})

test('a penalty counts once for a token that stands there several times', async () => {
  const pick = await sampler(3)
  const row = (seen: number[]) => ({
    logits: [2, 1.5, -1],
    temperature: 1,
    uniform: 0.7,
    rules: { repetitionPenalty: 2 },
    seen,
  })
  // exp(1), exp(1.5), exp(-1): .35, .6, .05; twice penalised, the first would have .24
  expect(await pick([row([0]), row([0, 0, 0]), { ...row([0, 0]), uniform: 0.3 }])).toEqual([1, 1, 0])
})

test('several draws from a row, without rules', async () => {
  const tape = createTape(['logits', 'temperature', 'uniforms'])
  const samples = emitSamples(tape, 'logits', {
    vocabularySize: 400,
    temperature: 'temperature',
    uniforms: 'uniforms',
    truncation: null,
    repetition: null,
  })
  const graph = tape.graph({
    name: 'samples',
    inputs: [
      value('logits', 'float32', ['R', 400]),
      value('temperature', 'float32', []),
      value('uniforms', 'float32', ['R', 'M']),
    ],
    outputs: [value(samples, 'int64', ['R', 'M'])],
  })
  const session = await InferenceSession.create(encodeModel(createModel(graph, { '': 21 })))
  const random = createRandom(6)
  const logits = [randomLogits(400, 1), randomLogits(400, 2)]
  const uniforms = logits.map(() => Array.from({ length: 500 }, () => random.uniform()))
  const { [samples]: drawn } = await session.run({
    logits: floats(
      logits.flatMap((row) => Array.from(row)),
      [2, 400],
    ),
    temperature: floats([0.8], []),
    uniforms: floats(uniforms.flat(), [2, 500]),
  })
  const expected = uniforms.flatMap((row, r) =>
    row.map((uniform) => drawFrom(weightsByRules(logits[r]!, Math.fround(0.8)), uniform)),
  )
  expect(Array.from(drawn!.data as BigInt64Array, Number)).toEqual(expected)
})
