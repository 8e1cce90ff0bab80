import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { compileHead, compileHeadLogits, describeDecoder } from '#decoder'
import { argmax, createRandom, dot, softmax } from '#tensor'
import { type TinyDecoderOptions, tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { inverseCdf } from '../../support/decode-by-steps.ts'
import { floats, ints } from '../../support/run-generation.ts'
import { drawFrom, weightsByRules } from '../../support/sample-by-rules.ts'

const S = 5
const D = 16
const V = 64

/** Returns the head in fp64, written from the options: g(W z + b), g a scale and a soft-cap. */
function referenceHead(options: TinyDecoderOptions) {
  const { reference } = tinyDecoder(options)
  return (z: ArrayLike<number>, t: number): number[] =>
    Array.from({ length: V }, (_, token) => {
      let x = reference.bias?.[token] ?? 0
      for (let d = 0; d < D; d++) x += reference.weight[token * D + d]! * z[t * D + d]!
      x *= options.scale ?? 1
      return options.softCap ? options.softCap * Math.tanh(x / options.softCap) : x
    })
}

async function setUp(options: TinyDecoderOptions) {
  const { model, config } = tinyDecoder(options)
  const description = describeDecoder(model, config)
  const step = await InferenceSession.create(compileHead(model, description))
  const logits = await InferenceSession.create(compileHeadLogits(model, description))
  return { head: referenceHead(options), step, logits }
}

function randomLatents(seed: number): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: S * D }, () => random.gaussian())
}

interface StepFeeds {
  z: Float32Array
  m?: Float32Array
  v?: Float32Array
  step?: number
  actions: number[][]
  advantages: number[]
  temperature?: number
}

const ADAM = { lr: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }

async function runStep(session: InferenceSession, feeds: StepFeeds) {
  const { z, m = new Float32Array(S * D), v = new Float32Array(S * D), step = 0, actions, advantages } = feeds
  const scalars = { ...ADAM, step, temperature: feeds.temperature ?? 1 }
  const results = await session.run({
    ...Object.fromEntries(Object.entries({ z, m, v }).map(([name, data]) => [name, floats(data, [S, D])])),
    ...Object.fromEntries(Object.entries(scalars).map(([name, number]) => [name, floats([number], [])])),
    actions: ints(actions.flat(), [actions.length, S]),
    advantages: floats(advantages, [advantages.length]),
  })
  const data = (name: string) => results[name]!.data as Float32Array
  return {
    z: data('z_next'),
    m: data('m_next'),
    v: data('v_next'),
    // A quantised head has its tokens in the other graph.
    tokens: results['tokens'] && Array.from(results['tokens'].data as BigInt64Array, Number),
  }
}

type Head = ReturnType<typeof referenceHead>

/** Returns the terms of J(z) = (1/M) sum_m A_m sum_t log p(a_t^m | z_t) at one position, fp64. */
function objectiveAt(head: Head, z: ArrayLike<number>, t: number, feeds: Omit<StepFeeds, 'z'>): number {
  const p = softmax(head(z, t), feeds.temperature ?? 1)
  const terms = feeds.actions.map((row, m) => feeds.advantages[m]! * Math.log(p[row[t]!]!))
  return terms.reduce((sum, term) => sum + term, 0) / feeds.actions.length
}

/** Returns dJ/dz by central differences; positions are independent. */
function numericGradient(head: Head, z: ArrayLike<number>, feeds: Omit<StepFeeds, 'z'>): Float64Array {
  const moved = Float64Array.from(z)
  return moved.map((value, i) => {
    const at = (delta: number) => {
      moved[i] = value + delta
      const result = objectiveAt(head, moved, Math.floor(i / D), feeds)
      moved[i] = value
      return result
    }
    return (at(1e-5) - at(-1e-5)) / 2e-5
  })
}

const HEADS: [string, TinyDecoderOptions][] = [
  ['plain', {}],
  ['tied', { head: 'tied' }],
  ['transposed, bias', { head: 'transposed', bias: true }],
  ['Gemm, bias, scale and soft-cap', { head: 'gemm', bias: true, scale: 0.7, softCap: 2.5 }],
  ['soft-cap alone', { softCap: 1.5 }],
  ['4-bit', { head: 'quantized', bias: true }],
  ['8-bit', { head: 'quantized', bits: 8, softCap: 3 }],
]

describe.each(HEADS)('%s head', (_, options) => {
  const actions = [
    [1, 2, 3, 4, 5],
    [1, 60, 9, 9, 9],
    [0, 63, 33, 17, 5],
  ]
  test.each<[string, Omit<StepFeeds, 'z'>]>([
    ['one rollout of negative advantage', { actions: [actions[0]!], advantages: [-0.7] }],
    ['several rollouts, one action twice', { actions, advantages: [0.8, -0.3, 0.4], temperature: 0.6 }],
  ])('the gradient agrees with central differences: %s', async (_, partial) => {
    const { head, step } = await setUp(options)
    const z = randomLatents(5)
    const { m } = await runStep(step, { ...partial, z })
    const expected = numericGradient(head, z, partial)
    const errors = expected.map((value, i) => Math.abs(m[i]! / (1 - ADAM.beta1) - value))
    expect(Math.max(...errors)).toBeLessThan(2e-6)
    expect(Math.max(...expected)).toBeGreaterThan(0.05)
  })

  test('logits, argmax and samples agree with the head in fp64', async () => {
    const { head, logits } = await setUp(options)
    const z = randomLatents(8)
    const random = createRandom(21)
    const uniforms = Array.from({ length: 4 * S }, () => random.uniform())
    const chosen = [63, 0, 17]
    const feeds = (rollouts: number) => ({
      z: floats(z, [S, D]),
      token_ids: ints(chosen, [3]),
      temperature: floats([0.8], []),
      uniforms: floats(uniforms.slice(0, rollouts * S), [rollouts, S]),
      likely: ints([0], [1]),
    })
    const results = await logits.run(feeds(4))
    const rows = Array.from({ length: S }, (_, t) => head(z, t))
    const got = results['logits']!.data as Float32Array
    rows.forEach((row, t) => {
      chosen.forEach((token, c) => {
        expect(got[t * 3 + c]).toBeCloseTo(row[token]!, 4)
      })
    })
    expect(Array.from(results['tokens']!.data as BigInt64Array, Number)).toEqual(rows.map(argmax))
    const expected = uniforms.map((u, i) => inverseCdf(softmax(rows[i % S]!, 0.8), u))
    expect(results['samples']!.dims).toEqual([4, S])
    expect(Array.from(results['samples']!.data as BigInt64Array, Number)).toEqual(expected)
    expect((await logits.run(feeds(0)))['samples']!.dims).toEqual([0, S])
  })

  test('the most likely tokens agree with the head in fp64', async () => {
    const { head, logits } = await setUp(options)
    const z = randomLatents(8)
    const read = await logits.run({
      z: floats(z, [S, D]),
      token_ids: ints([0], [1]),
      temperature: floats([0.8], []),
      uniforms: floats([], [0, S]),
      likely: ints([3], [1]),
    })
    const tokens = Array.from(read['likely_tokens']!.data as BigInt64Array, Number)
    expect(read['likely_tokens']!.dims).toEqual([S, 3])
    for (let t = 0; t < S; t++) {
      const p = Array.from(softmax(head(z, t)))
      const ranked = [...p.keys()].sort((a, b) => p[b]! - p[a]!).slice(0, 3)
      expect(tokens.slice(3 * t, 3 * t + 3)).toEqual(ranked)
      const probabilities = (read['likely_probabilities']!.data as Float32Array).slice(3 * t, 3 * t + 3)
      for (const [rank, token] of ranked.entries()) expect(probabilities[rank]).toBeCloseTo(p[token]!, 4)
    }
  })
})

test('steps follow Adam in fp64 and end at the argmax of the new latents', async () => {
  const { head, step } = await setUp({ softCap: 4 })
  const feeds: StepFeeds = { z: randomLatents(9), actions: [[3, 1, 4, 1, 5]], advantages: [-0.6] }
  let state: Pick<Required<StepFeeds>, 'z' | 'm' | 'v'> = {
    z: feeds.z,
    m: new Float32Array(S * D),
    v: new Float32Array(S * D),
  }
  const expected = {
    z: Float64Array.from(feeds.z),
    m: new Float64Array(S * D),
    v: new Float64Array(S * D),
  }
  for (let t = 1; t <= 8; t++) {
    const next = await runStep(step, { ...feeds, ...state, step: t - 1 })
    const gradient = numericGradient(head, expected.z, feeds)
    for (const [i, g] of gradient.entries()) {
      expected.m[i] = ADAM.beta1 * expected.m[i]! + (1 - ADAM.beta1) * g
      expected.v[i] = ADAM.beta2 * expected.v[i]! + (1 - ADAM.beta2) * g * g
      const corrected = expected.m[i]! / (1 - ADAM.beta1 ** t)
      expected.z[i]! +=
        (ADAM.lr * corrected) / (Math.sqrt(expected.v[i]! / (1 - ADAM.beta2 ** t)) + ADAM.epsilon)
    }
    for (const [i, value] of expected.z.entries()) expect(Math.abs(next.z[i]! - value)).toBeLessThan(2e-4)
    expect(next.tokens).toEqual(Array.from({ length: S }, (_, p) => argmax(head(next.z, p))))
    state = next
  }
  expect(objectiveAt(head, state.z, 0, feeds)).toBeGreaterThan(objectiveAt(head, feeds.z, 0, feeds))
})

/** Returns `uniforms.length / S` samples from each of `S` random latents, and the probabilities in fp64. */
async function draw(options: TinyDecoderOptions, uniforms: readonly number[]) {
  const { model, reference } = tinyDecoder(options)
  const session = await InferenceSession.create(compileHeadLogits(model, describeDecoder(model)))
  const z = randomLatents(13)
  const results = await session.run({
    z: floats(z, [S, D]),
    token_ids: ints([0], [1]),
    temperature: floats([1], []),
    uniforms: floats(uniforms, [uniforms.length / S, S]),
    likely: ints([0], [1]),
  })
  const vocabulary = options.vocabulary ?? V
  const probabilities = Array.from({ length: S }, (_, t) =>
    softmax(
      Float64Array.from(
        { length: vocabulary },
        (_, token) =>
          dot(reference.weight.subarray(token * D, (token + 1) * D), z.subarray(t * D, (t + 1) * D)) *
          (options.scale ?? 1),
      ),
    ),
  )
  return { samples: Array.from(results['samples']!.data as BigInt64Array, Number), probabilities }
}

test('a token of probability 0 is never drawn', async () => {
  // Logits so far apart that nearly every probability is exactly 0, the first token's among them.
  const uniforms = [0, 0, 0, 0, 0, ...new Array<number>(S).fill(1 - 2 ** -24)]
  const { samples, probabilities } = await draw({ scale: 400 }, uniforms)
  expect(probabilities.every((p) => p[0]! < 1e-50)).toBe(true)
  for (const [i, sample] of samples.entries()) expect(probabilities[i % S]![sample]).toBeGreaterThan(1e-40)
})

test('samples of a large vocabulary are exact among its most likely tokens', async () => {
  const random = createRandom(17)
  const uniforms = Array.from({ length: 600 * S }, () => random.uniform())
  const { samples, probabilities } = await draw({ vocabulary: 20_000 }, uniforms)
  const weights = probabilities.map((p) => weightsByRules(p.map(Math.log), 1))
  const expected = uniforms.map((u, i) => drawFrom(weights[i % S]!, u))
  const missed = samples.filter((sample, i) => sample !== expected[i])
  expect(missed.length).toBeLessThanOrEqual(2)
  expect(new Set(samples).size).toBeGreaterThan(200)
})

test('a quantised matrix of three blocks, the last one partial, is dequantised in full', async () => {
  const width = 40
  const { model, reference } = tinyDecoder({ head: 'quantized', width })
  const session = await InferenceSession.create(compileHeadLogits(model, describeDecoder(model)))
  // The rows of the identity read W column by column.
  const identity = Float32Array.from({ length: width * width }, (_, i) => Number(i % (width + 1) === 0))
  const every = Array.from({ length: V }, (_, token) => token)
  const results = await session.run({
    z: floats(identity, [width, width]),
    token_ids: ints(every, [V]),
    temperature: floats([1], []),
    uniforms: floats([], [0, width]),
    likely: ints([0], [1]),
  })
  const transposed = reference.weight.map((_, i) => reference.weight[(i % V) * width + Math.floor(i / V)]!)
  expect(results['logits']!.data).toEqual(transposed)
})

test('head graphs hold only the weights of the head', () => {
  const { model, bytes } = tinyDecoder({ layers: 6 })
  const description = describeDecoder(model)
  expect(compileHead(model, description).length).toBeLessThan(bytes.length / 2)
})
