import { readFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { compileGeneration, describeDecoder } from '#decoder'
import { createGraph, createModel, decodeModel, encodeModel, type Model, type Node, value } from '#onnx'
import { findLayerStates } from '../../../src/decoder/layer-states.ts'
import { inHalfPrecision } from '../../fixtures/half-decoder.ts'
import { type TinyDecoderOptions, tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { thoughtReference } from '../../support/full-forward.ts'
import { ints, runGeneration } from '../../support/run-generation.ts'

const FUSED = { fused: true, width: 32, keyValueHeads: 1 }

describe.each<[string, TinyDecoderOptions]>([
  ['plain nodes', {}],
  ['repeated key/value heads, three layers', { keyValueHeads: 1, layers: 3 }],
  ['a head over [B*S, D]', { head: 'gemm' }],
  ['a 4-bit head', { head: 'quantized', width: 40 }],
  ['fused attention', FUSED],
  ['fused norms', { fusedNorms: true }],
  ['fused attention and norms', { ...FUSED, fusedNorms: true }],
  ['one layer', { layers: 1 }],
])('a decoder with %s', (_, options) => {
  test('layer states are the inputs of every layer and of the head', () => {
    const { model, layerStates } = tinyDecoder(options)
    const found = describeDecoder(model)
    expect(found.layerStates!.slice(0, -1)).toEqual(layerStates.slice(0, -1))
    expect(found.layerStates!.at(-1)).toBe(found.head.hidden)
    expect(describeDecoder(inHalfPrecision(model)).layerStates).toEqual(found.layerStates)
  })

  test('thought sums equal a plain forward: ragged batches, chunks, forced prefixes, EOS in the middle', async () => {
    const { model, layerStates } = tinyDecoder(options)
    const description = describeDecoder(model)
    const session = await InferenceSession.create(compileGeneration(model, description))
    const reference = await thoughtReference(model, description, layerStates)
    const padding = options.fused ? 'right' : 'left'
    const generate = (batch: Parameters<typeof runGeneration>[2]) =>
      runGeneration(session, description, { padding, ...batch })
    const prompts = [[3, 14, 15, 9, 26, 5], [35, 8], [41, 42, 43, 44], [7]]
    const forced = [[], [60, 61, 62], [], [33]]
    const rows = prompts.map((prompt, b) => [...prompt, ...forced[b]!])
    const thoughtFrom = prompts.map((prompt) => prompt.length - 1)
    const free = await generate({ rows, steps: 9 })
    const at = free.tokens[0]!.findIndex((token, t, row) => t > 1 && row.indexOf(token) === t)
    const eos = [free.tokens[0]![at]!]
    const cut = (row: readonly number[]) => row.slice(0, row.indexOf(eos[0]!) + 1 || row.length)

    const first = await generate({ rows, steps: 9, eos, thoughtFrom })
    const answers = free.tokens.map(cut)
    expect(answers[0]).toHaveLength(at + 1)
    expect(Math.max(...answers.map(({ length }) => length))).toBeGreaterThan(at + 1)
    const expectThought = async (b: number, sums: Float32Array, answer: readonly number[]) => {
      const whole = [...forced[b]!, ...answer]
      const expected = await reference(prompts[b]!, whole)
      expect(sums).toHaveLength(expected.length)
      for (const [i, sum] of sums.entries()) expect(sum / whole.length).toBeCloseTo(expected[i]!, 4)
    }
    for (const [b, answer] of answers.entries()) await expectThought(b, first.thoughtSums[b]!, answer)

    // Resumed with rows of equal lengths, as fused attention requires for a past.
    const twin = rows.map(() => rows[1]!)
    const head = await generate({ rows: twin, steps: 4, thoughtFrom: twin.map(() => thoughtFrom[1]!) })
    const tail = await generate({
      rows: head.tokens.map((row) => [row.at(-1)!]),
      steps: 3,
      past: head,
      thoughtFrom: twin.map(() => 0),
    })
    const whole = head.thoughtSums[2]!.map((sum, i) => sum + tail.thoughtSums[2]![i]!)
    await expectThought(1, whole, [...head.tokens[2]!, ...tail.tokens[2]!])
  })
})

const node = (opType: string, inputs: string[], outputs: string[], domain = ''): Node => ({
  opType,
  domain,
  name: outputs[0]!,
  inputs,
  outputs,
  attributes: new Map(),
})

/**
 * Creates a model from its first nodes and the nodes of each layer, which reads `x{i}` and computes `x{i +
 * 1}`.
 */
function stream(start: readonly Node[], layer: (x: string, i: number) => readonly Node[], layers = 2): Model {
  const nodes = [...start]
  let x = 'x0'
  for (let i = 0; i < layers; i++) {
    nodes.push(...layer(x, i))
    x = `x${i + 1}`
  }
  nodes.push(node('Tanh', [x], ['hidden']))
  return createModel(createGraph({ name: 'stream', inputs: [], outputs: [], nodes }), { '': 17 })
}

const find = ({ graph }: Model, layers = 2) =>
  findLayerStates(graph, {
    inputIds: 'input_ids',
    hidden: 'hidden',
    presentKeys: Array.from({ length: layers }, (_, i) => `key${i}`),
  })
const embedded = [node('Gather', ['table', 'input_ids'], ['x0'])]
const keysAndMix = (from: string, i: number) => [
  node('MatMul', [from, 'w'], [`key${i}`]),
  node('Softmax', [`key${i}`], [`mixed${i}`]),
]
const plain = (x: string, i: number) => [
  node('Tanh', [x], [`normed${i}`]),
  ...keysAndMix(`normed${i}`, i),
  node('Add', [x, `mixed${i}`], [`x${i + 1}`]),
]

describe('findLayerStates()', () => {
  test('attention parallel to the feed-forward, as in GPT-NeoX', () => {
    const model = stream(embedded, (x, i) => [
      node('Tanh', [x], [`normed${i}`]),
      ...keysAndMix(`normed${i}`, i),
      node('MatMul', [`normed${i}`, 'w'], [`forward${i}`]),
      node('Add', [`mixed${i}`, `forward${i}`], [`both${i}`]),
      node('Add', [x, `both${i}`], [`x${i + 1}`]),
    ])
    expect(find(model)).toEqual(['x0', 'x1', 'hidden'])
  })

  test('norms after the sum, as in the first Transformer: a layer reads the normed sum', () => {
    const model = stream(embedded, (x, i) => [
      ...keysAndMix(x, i),
      node('SkipLayerNormalization', [x, `mixed${i}`, 'gain'], [`x${i + 1}`], 'com.microsoft'),
    ])
    expect(find(model)).toEqual(['x0', 'x1', 'hidden'])
  })

  test('with scaled or summed embeddings, the first state is the scaled or summed value', () => {
    const scaled = [node('Gather', ['table', 'input_ids'], ['raw']), node('Mul', ['raw', 'scale'], ['x0'])]
    expect(find(stream(scaled, plain))).toEqual(['x0', 'x1', 'hidden'])
    const added = [
      node('Gather', ['table', 'input_ids'], ['raw']),
      node('Gather', ['places', 'position_ids'], ['place']),
      node('Add', ['raw', 'place'], ['x0']),
    ]
    expect(find(stream(added, plain))).toEqual(['x0', 'x1', 'hidden'])
  })

  test('readers of a shape or a type are no path around the layers', () => {
    const model = stream(
      [...embedded, node('Shape', ['x0'], ['shape']), node('CastLike', ['angle', 'x0'], ['cos'])],
      (x, i) => [
        node('Tanh', [x], [`normed${i}`]),
        node('Mul', [`normed${i}`, 'cos'], [`turned${i}`]),
        node('Reshape', [`turned${i}`, 'shape'], [`shaped${i}`]),
        ...keysAndMix(`shaped${i}`, i),
        node('Add', [x, `mixed${i}`], [`x${i + 1}`]),
      ],
    )
    expect(find(model)).toEqual(['x0', 'x1', 'hidden'])
  })

  test.each<[string, Model]>([
    [
      'a second embedding that every layer adds',
      stream([...embedded, node('Gather', ['other', 'input_ids'], ['extra'])], (x, i) => [
        ...plain(x, i).slice(0, -1),
        node('Add', [x, `mixed${i}`], [`sum${i}`]),
        node('Add', [`sum${i}`, 'extra'], [`x${i + 1}`]),
      ]),
    ],
    [
      'a layer without keys of its own',
      stream(embedded, (x, i) => [
        ...plain(x, i),
        ...(i === 1 ? [node('Identity', ['key0'], ['again'])] : []),
      ]),
    ],
    ['no path from the tokens to the head', stream([node('Identity', ['table'], ['x0'])], plain)],
  ])('returns null with %s', (name, model) => {
    const keys = name.startsWith('a layer') ? ['key0', 'again'] : ['key0', 'key1']
    expect(
      findLayerStates(model.graph, { inputIds: 'input_ids', hidden: 'hidden', presentKeys: keys }),
    ).toBeNull()
  })
})

test('a model without identified layers is compiled without thoughts', async () => {
  const { model } = tinyDecoder()
  const described = describeDecoder(model)
  const description = { ...described, layerStates: null }
  const session = await InferenceSession.create(compileGeneration(model, description))
  expect(session.inputNames).not.toContain('thought_weights')
  expect(session.outputNames).not.toContain('thought_sums')
  const { tokens } = await runGeneration(session, description, { rows: [[3, 14, 15]], steps: 8 })
  const withThoughts = await InferenceSession.create(compileGeneration(model, described))
  expect(tokens).toEqual(
    (await runGeneration(withThoughts, described, { rows: [[3, 14, 15]], steps: 8 })).tokens,
  )
})

test('bundled export: the first states are embedding rows, and each layer’s keys follow from its state', async () => {
  const read = (path: string) =>
    readFileSync(new URL(`../../../models/order-of-operations/${path}`, import.meta.url))
  const model = decodeModel(read('onnx/model.onnx'))
  const description = describeDecoder(model)
  const { layerStates, hiddenSize: D, keyValueHeads: K, headSize: h, inputs } = description
  expect(layerStates).toHaveLength(5)
  const { graph } = model
  const outputs = layerStates!.slice(0, -1).map((name) => value(name, 'float32'))
  const session = await InferenceSession.create(encodeModel({ ...model, graph: { ...graph, outputs } }))
  const tokens = [1, 17, 23, 42]
  const results = await session.run({
    input_ids: ints(tokens, [1, 4]),
    attention_mask: ints([1, 1, 1, 1], [1, 4]),
    position_ids: ints([0, 1, 2, 3], [1, 4]),
    ...Object.fromEntries(
      inputs.past
        .flatMap(({ key, value }) => [key, value])
        .map((name) => [name, new Tensor('float32', new Float32Array(), [1, K, 0, h])]),
    ),
  })
  const tensors = safetensors(read('model.safetensors'))
  const table = tensors('model.embed_tokens.weight')
  const states = layerStates!.slice(0, -1).map((name) => results[name]!.data as Float32Array)
  expect(states[0]).toEqual(
    Float32Array.from(tokens.flatMap((token) => [...table.subarray(token * D, (token + 1) * D)])),
  )
  // The keys of layer i are its norm and projection of the state: at position 0, rotary embedding is the
  // identity.
  const keys = await keysAtFirst(model, tokens)
  for (const [layer, state] of states.entries()) {
    const gains = tensors(`model.layers.${layer}.input_layernorm.weight`)
    const weight = tensors(`model.layers.${layer}.self_attn.k_proj.weight`) // [K*h, D]
    const x = Array.from(state.subarray(0, D))
    const rms = Math.sqrt(x.reduce((sum, each) => sum + each * each, 0) / D + 1e-5)
    for (let row = 0; row < K * h; row++) {
      const expected = x.reduce((sum, each, d) => sum + (each / rms) * gains[d]! * weight[row * D + d]!, 0)
      expect(keys[layer]![row]).toBeCloseTo(expected, 3)
    }
  }

  /** Returns the keys of the first position by layer, `[K*h]`. */
  async function keysAtFirst(full: Model, ids: readonly number[]): Promise<Float32Array[]> {
    const whole = await InferenceSession.create(encodeModel(full))
    const present = await whole.run({
      input_ids: ints(ids.slice(0, 1), [1, 1]),
      attention_mask: ints([1], [1, 1]),
      position_ids: ints([0], [1, 1]),
      ...Object.fromEntries(
        inputs.past
          .flatMap(({ key, value }) => [key, value])
          .map((name) => [name, new Tensor('float32', new Float32Array(), [1, K, 0, h])]),
      ),
    })
    return description.outputs.present.map(({ key }) => present[key]!.data as Float32Array)
  }
})

/** Returns a reader of the tensors in an fp32 safetensors file, by name. */
function safetensors(bytes: Buffer): (name: string) => Float32Array {
  const headerLength = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >
  return (name) => {
    const [start, end] = header[name]!.data_offsets
    return new Float32Array(
      Uint8Array.from(bytes.subarray(8 + headerLength + start, 8 + headerLength + end)).buffer,
    )
  }
}
