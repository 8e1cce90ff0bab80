import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { compileGeneration, describeDecoder, scoredLayers } from '#decoder'
import { createRandom } from '#tensor'
import { type TinyDecoderOptions, tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { thoughtReference } from '../../support/full-forward.ts'
import { floats, runGeneration } from '../../support/run-generation.ts'

test.each([
  [0, []],
  [2, [1]],
  [3, [1, 2]],
  [5, [2, 3, 4]],
  [25, [12, 18, 24]],
])('of %i states, the layers %o are scored', (layers, scored) => {
  expect(scoredLayers(layers)).toEqual(scored)
})

const PROMPTS = [[3, 14, 15, 9, 26, 5], [35, 8], [7]]
const FORCED = [[], [60, 61, 62], [33]]
const ROWS = PROMPTS.map((prompt, b) => [...prompt, ...FORCED[b]!])
const FROM = PROMPTS.map((prompt) => prompt.length - 1)

describe.each<[string, TinyDecoderOptions]>([
  ['plain nodes', { layers: 4 }],
  ['a head over [B*S, D]', { head: 'gemm' }],
  ['fused attention and norms', { fused: true, fusedNorms: true, width: 32, keyValueHeads: 1 }],
])('a decoder with %s', (_, options) => {
  const padding = options.fused ? 'right' : 'left'

  async function open() {
    const { model, layerStates } = tinyDecoder(options)
    const description = describeDecoder(model)
    const session = await InferenceSession.create(compileGeneration(model, description))
    const reference = await thoughtReference(model, description, layerStates)
    const layers = scoredLayers(layerStates.length)
    const D = description.hiddenSize
    /** Scored states of the position that predicts token `t` of an answer, `[K*D]`. */
    const stateAt = async (prompt: readonly number[], answer: readonly number[], t: number) => {
      const states = await reference([...prompt, ...answer.slice(0, t)], [answer[t]!])
      return layers.flatMap((layer) => [...states.subarray(layer * D, (layer + 1) * D)])
    }
    const random = createRandom(5)
    const width = layers.length * D
    const draw = (count: number) => Float32Array.from({ length: count }, () => random.gaussian())
    // Two versions at once: [2, K*D, V].
    const tokenMaps = { weights: floats(draw(4 * width), [2, width, 2]), biases: floats(draw(4), [2, 2]) }
    return { session, description, stateAt, width, tokenMaps }
  }

  test('last states and gated sums equal a plain forward: ragged rows, prefixes, EOS in the middle', async () => {
    const { session, description, stateAt, width, tokenMaps } = await open()
    const generate = (batch: Parameters<typeof runGeneration>[2]) =>
      runGeneration(session, description, { padding, ...batch })
    const free = await generate({ rows: ROWS, steps: 7 })
    const at = free.tokens[0]!.findIndex((token, t, row) => t > 1 && row.indexOf(token) === t)
    const eos = [free.tokens[0]![at]!]
    const run = await generate({ rows: ROWS, steps: 7, eos, thoughtFrom: FROM, tokenMaps })
    const [w, c] = [tokenMaps.weights.data, tokenMaps.biases.data] as [Float32Array, Float32Array]
    for (const [b, prompt] of PROMPTS.entries()) {
      const row = free.tokens[b]!
      const answer = [...FORCED[b]!, ...row.slice(0, row.indexOf(eos[0]!) + 1 || row.length)]
      const states = await Promise.all(answer.map((_, t) => stateAt(prompt, answer, t)))
      const last = run.tokenStates.last!.data.slice(b * width, (b + 1) * width) as Float32Array
      for (const [i, x] of last.entries()) expect(x).toBeCloseTo(states.at(-1)![i]!, 4)
      for (const version of [0, 1]) {
        const map = (part: 0 | 1, state: readonly number[]) =>
          state.reduce((sum, x, i) => sum + x * w[(part * width + i) * 2 + version]!, c[part * 2 + version]!)
        const gates = states.map((state) => 1 / (1 + Math.exp(-map(1, state))))
        const weighted = states.reduce((sum, state, t) => sum + gates[t]! * map(0, state), 0)
        const gated = run.tokenStates.gated!.data as Float32Array
        expect(gated[b * 4 + version]).toBeCloseTo(weighted, 2)
        expect(gated[b * 4 + 2 + version]).toBeCloseTo(
          gates.reduce((sum, gate) => sum + gate, 0),
          3,
        )
      }
    }
  })

  test('one step returns the states of all fed positions; without weights nothing counts', async () => {
    const { session, description, stateAt, width } = await open()
    const run = await runGeneration(session, description, { padding, rows: [ROWS[1]!], steps: 1 })
    expect(run.tokenStates.fed!.dims).toEqual([1, 5, width])
    const fed = run.tokenStates.fed!.data as Float32Array
    for (const t of [0, 1, 2]) {
      const expected = await stateAt(PROMPTS[1]!, FORCED[1]!, t)
      for (const [i, x] of expected.entries()) expect(fed[(1 + t) * width + i]).toBeCloseTo(x, 4)
    }
    expect((run.tokenStates.last!.data as Float32Array).every((x) => x === 0)).toBe(true)
    expect((run.tokenStates.gated!.data as Float32Array).every((x) => x === 0)).toBe(true)
  })
})
