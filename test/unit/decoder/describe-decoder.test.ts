import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { compileGeneration, compileHead, compileHeadLogits, describeDecoder } from '#decoder'
import {
  allNames,
  createModel,
  createTape,
  decodeModel,
  encodeModel,
  externalDataLocations,
  type Model,
  type Node,
  replaceAllUsesWith,
  storeTensor,
  value,
} from '#onnx'
import { float32, int64 } from '#tensor'
import { MAX_OPSET } from '../../../src/decoder/describe-decoder.ts'
import { tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { runGeneration } from '../../support/run-generation.ts'

const { model, config } = tinyDecoder()

const withGraph = (change: (graph: Model['graph']) => Partial<Model['graph']>, from = model): Model => ({
  ...from,
  graph: { ...from.graph, ...change(from.graph) },
})

const renameInput = (from: string, to: string) =>
  withGraph((graph) => ({
    ...replaceAllUsesWith(graph, from, to),
    inputs: graph.inputs.map((input) => (input.name === from ? { ...input, name: to } : input)),
  }))

/** Inserts a node between the projection and `logits`. */
const withTail = (
  opType: string,
  inputs: (logits: string) => string[],
  extra: Partial<Model['graph']> = {},
) =>
  withGraph((graph) => {
    const nodes = graph.nodes.map((node) =>
      node.outputs[0] === 'logits' ? { ...node, outputs: ['raw'] } : node,
    )
    const tail: Node = {
      opType,
      domain: '',
      name: 'tail',
      inputs: inputs('raw'),
      outputs: ['logits'],
      attributes: new Map(),
    }
    return { nodes: [...nodes, tail], ...extra }
  })

test('a Llama export is described by its names and sizes', () => {
  const { inputs, outputs, head, layerStates, ...sizes } = describeDecoder(
    tinyDecoder({ keyValueHeads: 1 }).model,
    {
      ...config,
      num_key_value_heads: 1,
    },
  )
  expect(sizes).toEqual({
    layers: 2,
    maskedTokens: [],
    recurrence: null,
    keyValueHeads: 1,
    headSize: 8,
    dtype: 'float32',
    padding: 'any',
    maxWidth: null,
    vocabularySize: 64,
    hiddenSize: 16,
  })
  expect(inputs.past[1]).toEqual({ key: 'past_key_values.1.key', value: 'past_key_values.1.value' })
  expect(outputs.present[0]).toEqual({ key: 'present.0.key', value: 'present.0.value' })
  expect(head).toMatchObject({ projection: { kind: 'dense', rowsAreTokens: false }, elementwise: [] })
  expect(layerStates).toHaveLength(3)
})

test('a fused export needs no position_ids and requires padding on the right', () => {
  const { padding, inputs } = describeDecoder(tinyDecoder({ fused: true, width: 32 }).model)
  expect({ padding, positionIds: inputs.positionIds }).toEqual({ padding: 'right', positionIds: null })
})

test('the head is read from the graph, with bias, scale and soft-cap in order', () => {
  const options = { head: 'gemm', bias: true, scale: 0.5, softCap: 4 } as const
  const { head } = describeDecoder(tinyDecoder(options).model)
  expect(head.projection).toMatchObject({ kind: 'dense', rowsAreTokens: true })
  expect(head.elementwise).toEqual([
    { kind: 'add', constant: expect.any(String) },
    { kind: 'scale', factor: 0.5 },
    { kind: 'scale', factor: 0.25 },
    { kind: 'tanh' },
    { kind: 'scale', factor: 4 },
  ])
})

test('the newest operator set is the newest of ONNX Runtime', async () => {
  const create = (opset: number) => {
    const tape = createTape(['x'])
    tape.outputs(['y'], 'Identity', ['x'])
    const border = { inputs: [value('x', 'float32', [1])], outputs: [value('y', 'float32', [1])] }
    return InferenceSession.create(
      encodeModel(createModel(tape.graph({ name: 'g', ...border }), { '': opset })),
    )
  }
  await expect(create(MAX_OPSET)).resolves.toBeDefined()
  await expect(create(MAX_OPSET + 1)).rejects.toThrow(/official support for domain ai.onnx is till opset/)
})

test('a model may define the operators of another domain in functions', () => {
  const functions = { no: 25, wireType: 2, data: new Uint8Array() }
  const { nodes } = model.graph
  const graph = { ...model.graph, nodes: [{ ...nodes[0]!, domain: 'pkg.torch' }, ...nodes.slice(1)] }
  expect(describeDecoder({ ...model, graph, extra: [functions] })).toMatchObject({ layers: 2 })
})

test.each<[string, Model, Record<string, unknown>, RegExp]>([
  ['another name for tokens', renameInput('input_ids', 'tokens'), {}, /got "tokens"/],
  [
    'no mask',
    withGraph((graph) => ({
      inputs: graph.inputs.filter(({ name }) => name !== 'attention_mask'),
      initializers: new Map([...graph.initializers, ['attention_mask', storeTensor(int64([1], [1, 1]))]]),
    })),
    {},
    /input "attention_mask", got 6 others, nearest: position_ids/,
  ],
  [
    'no caches',
    withGraph(({ inputs, initializers }) => ({
      inputs: inputs.slice(0, 3),
      initializers: new Map([
        ...initializers,
        ...inputs.slice(3).map(({ name }) => [name, storeTensor(float32([], [1, 2, 0, 8]))] as const),
      ]),
    })),
    {},
    /input "past_key_values\.0\.key", got 3 others/,
  ],
  [
    'a layer without present',
    withGraph(({ outputs }) => ({ outputs: outputs.slice(0, -2) })),
    {},
    /2 layers of present caches, got 1/,
  ],
  [
    'no logits',
    withGraph(({ outputs }) => ({ outputs: outputs.slice(1) })),
    {},
    /output "logits", got 4 others, nearest/,
  ],
  [
    'int32 tokens',
    withGraph(({ inputs }) => ({
      inputs: inputs.map((input) => (input.name === 'input_ids' ? value('input_ids', 'int32') : input)),
    })),
    {},
    /int64 for input "input_ids", got int32/,
  ],
  [
    'caches of rank 3',
    withGraph(({ inputs }) => ({
      inputs: inputs.map((input) =>
        input.name.endsWith('.value') ? value(input.name, 'float32', [null, 2, 8]) : input,
      ),
    })),
    {},
    /\[B, K, P, h\] for "past_key_values\.0\.value", got rank 3/,
  ],
  [
    'layers of different shape',
    withGraph(({ inputs }) => ({
      inputs: inputs.map((input) =>
        input.name === 'past_key_values.1.key' ? value(input.name, 'float32', [null, 1, null, 8]) : input,
      ),
    })),
    {},
    /another in layer 1/,
  ],
  [
    'an old operator set',
    { ...model, opsetImports: new Map([['', 11]]) },
    {},
    /operator set of 13 to 26, got 11; export it again with `optimum-cli .*` and --opset 18/,
  ],
  [
    'a new operator set',
    { ...model, opsetImports: new Map([['', MAX_OPSET + 1]]) },
    {},
    /operator set of 13 to 26, got 27/,
  ],
  [
    'an operator of another domain',
    withGraph(({ nodes }) => ({ nodes: [{ ...nodes[0]!, domain: 'acme', name: 'n' }, ...nodes.slice(1)] })),
    {},
    /operators of ONNX and of com\.microsoft, got \w+ "n" of acme; export it again/,
  ],
  [
    'a head in a quantisation of four-bit floats',
    withGraph(({ nodes }) => ({
      nodes: nodes.map((node) =>
        node.outputs[0] === 'logits'
          ? { ...node, opType: 'MatMulBnb4', domain: 'com.microsoft', name: 'h' }
          : node,
      ),
    })),
    {},
    /got MatMulBnb4 "h"; take the q4, fp16 or fp32 variant of the model, or export it again/,
  ],
  ['an unknown step in the head', withTail('Relu', (raw) => [raw]), {}, /got Relu "tail"/],
  ['a scale that is computed', withTail('Mul', (raw) => [raw, raw]), {}, /got Mul "tail"/],
  [
    'a scale per token',
    withTail('Mul', (raw) => [raw, 'scales'], {
      initializers: new Map([
        ...model.graph.initializers,
        ['scales', storeTensor(float32(new Float32Array(64)))],
      ]),
    }),
    {},
    /got Mul "tail"/,
  ],
  [
    'a graph that quantises activations with one scale for the batch',
    withTail('DynamicQuantizeLinear', (raw) => [raw]),
    {},
    /got DynamicQuantizeLinear "tail" \(dynamic int8\).*take the q4, fp16 or fp32 variant/,
  ],
  [
    'logits of one position without a Gather',
    withGraph(({ outputs }) => ({
      outputs: [value('logits', 'float32', [null, 1, 64]), ...outputs.slice(1)],
    })),
    {},
    /logits of every position, got those of one; export it again with `optimum-cli/,
  ],
  [
    'a merged decoder',
    withGraph(({ inputs }) => ({ inputs: [...inputs, value('use_cache_branch', 'bool', [1])] })),
    {},
    /merged decoder.*"use_cache_branch"; export it again with `optimum-cli/,
  ],
  [
    'a projection whose matrix is computed',
    withTail('MatMul', (raw) => [raw, raw]),
    {},
    /MatMul "tail" whose matrix is not a two-dimensional constant/,
  ],
])('refuses %s', (_, broken, overrides, pattern) => {
  expect(() => describeDecoder(broken, overrides)).toThrow(
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringMatching(pattern) }),
  )
})

test('the graph is believed above config.json, which counts where the graph leaves a size open', () => {
  const wrong = { num_hidden_layers: 3, vocab_size: 65, num_attention_heads: 4, hidden_size: 24, head_dim: 3 }
  expect(describeDecoder(model, wrong)).toMatchObject({
    layers: 2,
    keyValueHeads: 2,
    headSize: 8,
    vocabularySize: 64,
    hiddenSize: 16,
  })
  const open = withGraph(({ inputs }) => ({
    inputs: inputs.map((input) =>
      input.name.startsWith('past') ? value(input.name, 'float32', [null, null, null, null]) : input,
    ),
  }))
  expect(describeDecoder(open, { num_key_value_heads: 5, head_dim: 7 })).toMatchObject({
    keyValueHeads: 5,
    headSize: 7,
  })
  expect(() => describeDecoder(open)).toThrow(/key\/value heads .* got neither/)
})

/** The decoder with positions computed in the graph by `nodes`, the last of which gives `position_ids`. */
const withoutPositions = (nodes: readonly Partial<Node>[]) =>
  withGraph((graph) => ({
    inputs: graph.inputs.filter(({ name }) => name !== 'position_ids'),
    nodes: [
      ...nodes.map((node) => ({ domain: '', name: node.opType!, attributes: new Map(), ...node }) as Node),
      ...graph.nodes,
    ],
    initializers: new Map([...graph.initializers, ['axis', storeTensor(int64(1))]]),
  }))

test('positions that the graph counts in the mask permit padding; positions in the caches do not', () => {
  const counted = withoutPositions([
    { opType: 'CumSum', inputs: ['attention_mask', 'axis'], outputs: ['position_ids'] },
  ])
  expect(describeDecoder(counted)).toMatchObject({ padding: 'any', inputs: { positionIds: null } })
  const byPlace = withoutPositions([
    { opType: 'Shape', inputs: ['attention_mask'], outputs: ['shape'] },
    { opType: 'ConstantOfShape', inputs: ['shape'], outputs: ['position_ids'] },
  ])
  expect(describeDecoder(byPlace)).toMatchObject({ padding: 'equal', inputs: { positionIds: null } })
})

test.each([
  ['Greater', 4096, 4096],
  ['GreaterOrEqual', 4096, 4095],
  ['Greater', 1, null],
])('an If on the width of the mask, %s %i, bounds the width at %s', (opType, limit, maxWidth) => {
  const branch = (name: string) => {
    const tape = createTape([])
    return tape.graph({
      name,
      outputs: [value(tape.outputs([`${name}_out`], 'Identity', ['axis'])[0]!, 'int64')],
    })
  }
  const attributes = new Map([
    ['then_branch', { type: 'graph' as const, value: branch('long') }],
    ['else_branch', { type: 'graph' as const, value: branch('short') }],
  ])
  const nodes = [
    { opType: 'Shape', inputs: ['attention_mask'], outputs: ['shape'] },
    { opType: 'Gather', inputs: ['shape', 'axis'], outputs: ['width'] },
    { opType, inputs: ['width', 'limit'], outputs: ['isLong'] },
    { opType: 'If', inputs: ['isLong'], outputs: ['factors'], attributes },
  ].map((node) => ({ domain: '', name: node.opType, attributes: new Map(), ...node }) as Node)
  const choosing = withGraph((graph) => ({
    nodes: [...nodes, ...graph.nodes],
    initializers: new Map([
      ...graph.initializers,
      ['axis', storeTensor(int64(1))],
      ['limit', storeTensor(int64(limit))],
    ]),
  }))
  expect(describeDecoder(choosing)).toMatchObject({ maxWidth, padding: maxWidth === null ? 'any' : 'equal' })
})

test('num_logits_to_keep is fed 0, so that all positions have states', async () => {
  const plain = describeDecoder(model)
  const tape = createTape([...allNames(model.graph), 'num_logits_to_keep'])
  const from = tape.op('Reshape', [tape.op('Neg', ['num_logits_to_keep']), tape.constant(int64([1]))])
  const far = tape.constant({ dtype: 'int64', shape: [1], data: BigInt64Array.of(2n ** 63n - 1n) })
  const [kept] = tape.outputs(['kept'], 'Slice', [plain.head.hidden, from, far, tape.constant(int64([1]))])
  const cut = tape.graph({ name: 'cut', outputs: [] })
  const keeping = withGraph((graph) => {
    const changed = replaceAllUsesWith(graph, plain.head.hidden, kept!)
    const at = changed.nodes.findIndex(({ inputs }) => inputs.includes(kept!))
    return {
      nodes: changed.nodes.toSpliced(at, 0, ...cut.nodes),
      initializers: new Map([...graph.initializers, ...cut.initializers]),
      inputs: [...graph.inputs, value('num_logits_to_keep', 'int64', [])],
    }
  })
  const description = describeDecoder(keeping)
  expect(description.inputs.logitsToKeep).toBe('num_logits_to_keep')
  expect(description.head.hidden).toBe('kept')
  const rows = [
    [3, 1, 4, 1, 5],
    [9, 2],
  ]
  const results = await Promise.all(
    (
      [
        [keeping, description],
        [model, plain],
      ] as const
    ).map(async ([from, description]) => {
      const session = await InferenceSession.create(compileGeneration(from, description))
      return runGeneration(session, description, { rows, steps: 8, padding: 'right' })
    }),
  )
  expect(results[0]!.tokens).toEqual(results[1]!.tokens)
})

test('compiled graphs refer to external weights and load from the model’s folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'external-data-'))
  try {
    const chunks: Uint8Array[] = []
    let offset = 0
    const outside = withGraph(({ initializers }) => ({
      initializers: new Map(
        [...initializers].map(([name, tensor]) => {
          if (tensor.bytes.length < 256) return [name, tensor]
          const entries = { location: 'weights.bin', offset: `${offset}`, length: `${tensor.bytes.length}` }
          chunks.push(tensor.bytes)
          offset += tensor.bytes.length
          return [name, { ...tensor, bytes: new Uint8Array(), external: new Map(Object.entries(entries)) }]
        }),
      ),
    }))
    await writeFile(join(folder, 'weights.bin'), Buffer.concat(chunks))
    const reread = decodeModel(encodeModel(outside))
    expect(externalDataLocations(reread)).toEqual(['weights.bin'])

    const description = describeDecoder(reread)
    const extra = { session: { model_external_initializers_file_folder_path: folder } }
    const load = (bytes: Uint8Array) => InferenceSession.create(bytes, { extra })
    const generation = compileGeneration(reread, description)
    expect(generation.length).toBeLessThan(offset)
    const rows = [
      [3, 1, 4, 1, 5],
      [9, 2],
    ]
    const got = await runGeneration(await load(generation), description, { rows, steps: 8 })
    const inline = await InferenceSession.create(compileGeneration(model, description))
    expect(got).toEqual(await runGeneration(inline, description, { rows, steps: 8 }))
    for (const compile of [compileHead, compileHeadLogits]) {
      const head = compile(reread, description)
      expect(externalDataLocations(decodeModel(head))).toEqual(['weights.bin'])
      await load(head)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
