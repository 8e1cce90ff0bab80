import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { compileGeneration, compileHead, compileHeadLogits, describeDecoder, maskTokens } from '#decoder'
import { createRandom, softmax } from '#tensor'
import { type TinyDecoderOptions, tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { floats, generationFeeds, ints } from '../../support/run-generation.ts'

const S = 24
const D = 16
const V = 64
/** More than half of the ids, so that some of them have the greatest logit nearly everywhere. */
const MASKED = [
  [3, 7],
  [20, 64],
] as const
const isMasked = (token: number) => MASKED.some(([from, to]) => token >= from && token < to)

const HEADS: [string, TinyDecoderOptions][] = [
  ['plain', {}],
  ['tied', { head: 'tied' }],
  ['Gemm with bias, scale and soft-cap', { head: 'gemm', bias: true, scale: 0.7, softCap: 2.5 }],
  ['half precision', { head: 'transposed', halfHead: true }],
  ['4-bit', { head: 'quantized' }],
  ['8-bit with soft-cap', { head: 'quantized', bits: 8, softCap: 3 }],
]

describe.each(HEADS)('masked tokens of a head: %s', (_, options) => {
  const { model, config } = tinyDecoder(options)
  const plain = { model, description: describeDecoder(model, config) }
  const masked = maskTokens(plain.model, plain.description, MASKED)
  const random = createRandom(4)
  const z = Float32Array.from({ length: S * D }, () => random.gaussian())

  const readHead = async (decoder: typeof plain, latents: Float32Array) => {
    const session = await InferenceSession.create(compileHeadLogits(decoder.model, decoder.description))
    const rows = latents.length / D
    const results = await session.run({
      z: floats(latents, [rows, D]),
      token_ids: ints([0, 5, 19, 63], [4]),
      temperature: floats([4], []),
      uniforms: floats(
        Array.from({ length: 3 * rows }, () => random.uniform()),
        [3, rows],
      ),
      likely: ints([64], [1]),
    })
    const numbers = (name: string) => Array.from(results[name]!.data as BigInt64Array, Number)
    return {
      logits: Array.from(results['logits']!.data as Float32Array),
      tokens: numbers('tokens'),
      samples: numbers('samples'),
      likely: numbers('likely_tokens'),
      probabilities: Array.from(results['likely_probabilities']!.data as Float32Array),
    }
  }

  test('argmax and samples never take one; other logits stay', async () => {
    const [before, after] = [await readHead(plain, z), await readHead(masked, z)]
    expect(before.tokens.filter(isMasked).length).toBeGreaterThan(S / 3)
    expect(after.tokens.filter(isMasked)).toEqual([])
    expect(after.samples.filter(isMasked)).toEqual([])
    expect(after.likely.every((token, index) => !isMasked(token) || after.probabilities[index] === 0)).toBe(
      true,
    )
    expect(after.logits).toEqual(
      before.logits.map((logit, index) => ([1, 3].includes(index % 4) ? Number.NEGATIVE_INFINITY : logit)),
    )
  })

  test('the gradient is that of the distribution without them, and the tokens after a step are others', async () => {
    const session = await InferenceSession.create(compileHead(masked.model, masked.description))
    const action = 12
    const states = (data: Float32Array) => floats(data, [S, D])
    const scalars = { step: 0, lr: 0.5, beta1: 0, beta2: 0.9, epsilon: 1e-8, temperature: 1 }
    const results = await session.run({
      ...Object.fromEntries(Object.entries(scalars).map(([name, number]) => [name, floats([number], [])])),
      z: states(z),
      m: states(new Float32Array(S * D)),
      v: states(new Float32Array(S * D)),
      actions: ints(new Array(S).fill(action), [1, S]),
      advantages: floats([1], [1]),
    })
    const { weight, bias } = tinyDecoder(options).reference
    const logitsAt = (t: number, latents: Float64Array) =>
      Array.from({ length: V }, (_, token) => {
        let x = bias?.[token] ?? 0
        for (let d = 0; d < D; d++) x += weight[token * D + d]! * latents[t * D + d]!
        x *= options.scale ?? 1
        const logit = options.softCap ? options.softCap * Math.tanh(x / options.softCap) : x
        return isMasked(token) ? Number.NEGATIVE_INFINITY : logit
      })
    const moved = Float64Array.from(z)
    const expected = moved.map((value, i) => {
      const at = (delta: number) => {
        moved[i] = value + delta
        const objective = Math.log(softmax(logitsAt(Math.floor(i / D), moved))[action]!)
        moved[i] = value
        return objective
      }
      return (at(1e-5) - at(-1e-5)) / 2e-5
    })
    const gradient = results['m_next']!.data as Float32Array
    const errors = Array.from(expected, (value, i) => Math.abs(gradient[i]! - value))
    // fp16 products round to 2^-11 of their size.
    expect(Math.max(...errors)).toBeLessThan(options.halfHead ? 5e-3 : 5e-6)
    expect(Math.max(...expected)).toBeGreaterThan(0.05)
    const tokens = results['tokens'] && Array.from(results['tokens'].data as BigInt64Array, Number)
    expect((tokens ?? []).filter(isMasked)).toEqual([])
  })

  test('generation decodes none, greedily and sampled, with a repetition penalty too', async () => {
    const batch = {
      rows: [[1, 4, 30], [1, 9, 41, 2], [8]],
      steps: 16,
      temperature: [0, 3, 1],
      sampling: [{}, { topK: 100 }, { repetitionPenalty: 0.5 }],
      seenTokens: [[1], [41], [8]],
      uniforms: Array.from({ length: 16 }, () => [0, 0.999, 0.5]),
    }
    const decode = async (decoder: typeof plain) => {
      const session = await InferenceSession.create(compileGeneration(decoder.model, decoder.description))
      const { tokens } = await session.run(generationFeeds(decoder.description, batch), ['tokens'])
      return Array.from(tokens!.data as BigInt64Array, Number)
    }
    expect((await decode(plain)).filter(isMasked).length).toBeGreaterThan(10)
    expect((await decode(masked)).filter(isMasked)).toEqual([])
  })
})
