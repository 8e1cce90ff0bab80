import { readFileSync } from 'node:fs'
import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { compileGeneration, type DecoderDescription, describeDecoder, maskTokens } from '#decoder'
import { decodeModel, type Model } from '#onnx'
import { createRandom } from '#tensor'
import { type TinyDecoderOptions, tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { createStepDecoder } from '../../support/decode-by-steps.ts'
import { runGeneration } from '../../support/run-generation.ts'

const PROMPTS = [[3, 14, 15, 9, 26, 5], [35, 8], [41, 42, 43, 44], [7]]

/** Computes log-probability, entropy and KL(U || p) plainly, in fp64; masked tokens have no part in either. */
function plainSignals(logits: Float32Array, token: number, isMasked = (_: number) => false): number[] {
  const possible = Array.from(logits, (logit, id) => ({ logit, id })).filter(({ id }) => !isMasked(id))
  const total = possible.reduce((sum, { logit }) => sum + Math.exp(logit), 0)
  const uniform = 1 / possible.length
  let entropy = 0
  let divergence = 0
  for (const { logit } of possible) {
    const p = Math.exp(logit) / total
    entropy -= p * Math.log(p)
    divergence += uniform * Math.log(uniform / p)
  }
  return [Math.log(Math.exp(logits[token]!) / total), entropy, divergence]
}

function expectClose(signals: readonly number[], expected: readonly number[], digits = 4) {
  expect(signals).toHaveLength(3)
  for (const [i, value] of signals.entries()) expect(value).toBeCloseTo(expected[i]!, digits)
}

async function compiled(model: Model, description: DecoderDescription) {
  const session = await InferenceSession.create(compileGeneration(model, description))
  return runGeneration.bind(null, session, description)
}

const uniforms = Array.from({ length: 12 }, (_, step) => {
  const random = createRandom(3, step)
  return PROMPTS.map(() => random.uniform())
})

describe.each<[string, TinyDecoderOptions]>([
  ['a plain head', {}],
  ['a bias and a soft-cap', { head: 'transposed', bias: true, softCap: 2 }],
  ['a 4-bit head', { head: 'quantized', width: 40 }],
  ['a large vocabulary and the oldest operator set', { vocabulary: 3000, scale: 3, opset: 13 }],
])('signals of a decoder with %s', (_, options) => {
  test('are those of the whole distribution, whatever the rules of sampling, also in resumed chunks', async () => {
    const { model, config } = tinyDecoder(options)
    const description = describeDecoder(model, config)
    const generate = await compiled(model, description)
    const reference = await createStepDecoder(model, description)
    const temperature = [0, 1, 0.7, 2]
    const sampling = [{}, { topK: 3 }, { topP: 0.4, repetitionPenalty: 1.5 }, { minP: 0.2 }]
    const batch = { temperature, sampling, seenTokens: PROMPTS.map((prompt) => [prompt[0]!]) }
    const first = await generate({ ...batch, rows: PROMPTS, steps: 5, uniforms })
    const second = await generate({
      ...batch,
      rows: first.tokens.map((row) => [row.at(-1)!]),
      steps: 7,
      past: first,
      uniforms: uniforms.slice(5),
    })
    for (const [b, prompt] of PROMPTS.entries()) {
      const tokens = [...first.tokens[b]!, ...second.tokens[b]!]
      const signals = [...first.signals[b]!, ...second.signals[b]!]
      for (const [t, token] of tokens.entries()) {
        const { logits } = await reference.decode([...prompt, ...tokens.slice(0, t)], { steps: 1 })
        expectClose(signals[t]!, plainSignals(logits[0]!, token))
      }
    }
    expect(new Set(second.signals.flat(2)).size).toBeGreaterThan(60) // else the comparison would prove little
  })

  test('are zeros unless they are asked for', async () => {
    const { model, config } = tinyDecoder(options)
    const generate = await compiled(model, describeDecoder(model, config))
    const { signals, tokens } = await generate({ rows: PROMPTS, steps: 3, signals: false })
    expect(signals.flat(2)).toEqual(new Array(PROMPTS.length * 3 * 3).fill(0))
    expect((await generate({ rows: PROMPTS, steps: 3 })).tokens).toEqual(tokens)
  })
})

test.each<[string, readonly (readonly [number, number])[]]>([
  ['at the end', [[20, 64]]],
  ['at the beginning and in the middle', [[0, 2], [9, 12], [40, 41]]], // biome-ignore format: pairs
])('masked tokens %s have no part in the signals', async (_, masked) => {
  const tiny = tinyDecoder()
  const { model, description } = maskTokens(tiny.model, describeDecoder(tiny.model, tiny.config), masked)
  const generate = await compiled(model, description)
  const { weight } = tiny.reference
  const D = description.hiddenSize
  const isMasked = (id: number) => masked.some(([from, to]) => id >= from && id < to)
  const { tokens, signals, hiddenStates } = await generate({
    rows: PROMPTS,
    steps: 12,
    temperature: PROMPTS.map(() => 3),
    uniforms,
  })
  expect(new Set(tokens.flat()).size).toBeGreaterThan(8)
  for (const [b, row] of tokens.entries()) {
    for (const [t, token] of row.entries()) {
      const state = hiddenStates[b]![t]!
      const logits = Float32Array.from({ length: description.vocabularySize }, (_, v) =>
        state.reduce((sum, value, d) => sum + value * weight[v * D + d]!, 0),
      )
      expectClose(signals[b]![t]!, plainSignals(logits, token, isMasked))
    }
  }
})

test.each([
  [
    'the bundled model',
    'models/order-of-operations/onnx/model.onnx',
    'models/order-of-operations/config.json',
  ],
  [
    'an export of Qwen2',
    'test/fixtures/exports/optimum-qwen2/model.onnx',
    'test/fixtures/exports/optimum-qwen2/config.json',
  ],
])('signals of %s are those of its logits', async (_, file, configFile) => {
  const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url))
  const model = decodeModel(read(file))
  const description = describeDecoder(model, JSON.parse(read(configFile).toString()))
  const generate = await compiled(model, description)
  const reference = await createStepDecoder(model, description)
  const prompt = [3, 5, 8, 13]
  const { tokens, signals } = await generate({ rows: [prompt], steps: 8 })
  const expected = await reference.decode(prompt, { steps: 8 })
  expect(tokens[0]).toEqual(expected.tokens)
  for (const [t, token] of expected.tokens.entries()) {
    expectClose(signals[0]![t]!, plainSignals(expected.logits[t]!, token), 3)
  }
})
