/** @file Weights left in the model's own file as external data, also behind a symbolic link. */

import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, suite, test } from 'vitest'
import { describeDecoder } from '#decoder'
import { loadModelDirectory } from '#engine'
import { decodeModel, encodeModel, type Model, type Node, replaceAllUsesWith, storeTensor } from '#onnx'
import { float32, int64, type Tensor } from '#tensor'
import {
  externalizeInitializers,
  loadGraphs,
  threadsOfProcess,
} from '../../../src/engine/child/load-graphs.ts'
import { createScheduler } from '../../../src/engine/child/scheduler.ts'
import { tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'
import { ON_CPU } from '../../support/on-cpu.ts'
import { tinySessions } from '../../support/tiny-sessions.ts'

/** Wide enough for matrices above the size at which they stay in the file. */
const DECODER = { width: 128, heads: 4, vocabulary: 64 }

suite('weights left in the file', () => {
  test('are references to their bytes in the file; small tensors are copied', async () => {
    await using directory = await tinyModelDirectory(DECODER)
    const file = await readFile(join(directory.path, 'onnx/model.onnx'))
    const model = decodeModel(file)
    const left = externalizeInitializers(model, file, 'model.onnx')
    const references = [...left.graph.initializers].filter(([, { external }]) => external !== undefined)
    expect(references.length).toBeGreaterThan(4)
    for (const [name, { external, bytes, dims }] of references) {
      const original = model.graph.initializers.get(name)!
      const [offset, length] = [Number(external!.get('offset')), Number(external!.get('length'))]
      expect(external!.get('location')).toBe('model.onnx')
      expect(bytes).toHaveLength(0)
      expect(dims).toEqual(original.dims)
      expect(length).toBe(4 * dims.reduce((product, dim) => product * dim, 1))
      expect(file.subarray(offset, offset + length).equals(original.bytes)).toBe(true)
    }
    for (const [name, tensor] of left.graph.initializers) {
      if (tensor.external === undefined) expect(tensor).toBe(model.graph.initializers.get(name))
    }
  })

  test('serve the same numbers, also from a file behind a link, as in the cache of Hugging Face', async () => {
    await using directory = await tinyModelDirectory(DECODER)
    const linked = await mkdtemp(join(tmpdir(), 'circadian-links-'))
    await mkdir(join(linked, 'onnx'))
    await symlink(join(directory.path, 'onnx/model.onnx'), join(linked, 'onnx/model.onnx'))
    const { config, sizes } = await loadModelDirectory(directory.path)
    const request = {
      past: null,
      input: [1, 9, 20, 33],
      decode: { temperature: 0, seed: 0, maxNewTokens: 12, latents: 12 },
      keepCache: false,
      signal: new AbortController().signal,
    }
    // Here the weights are inside the compiled graphs.
    const inline = await tinySessions({ decoder: DECODER })
    const expected = await inline.scheduler.submit(request)
    for (const folder of [directory.path, linked]) {
      const graphs = await loadGraphs(
        {
          graphFile: join(folder, 'onnx/model.onnx'),
          config,
          sizes,
          ...ON_CPU,
        },
        'cpu',
      )
      const limits = { maxRunningRows: 4, chunkTokens: [8, 8], runMs: 0, maxInputTokens: 64 } as const
      const { eosTokenIds } = sizes
      const result = await createScheduler({ runner: graphs.generation, eosTokenIds, limits }).submit(request)
      expect(result.tokens).toEqual(expected.tokens)
      expect(result.hiddenStates).toEqual(expected.hiddenStates)
    }
    await rm(linked, { recursive: true })
  })
})

suite('a graph that loads and does not serve', () => {
  /** The tiny decoder with a node between the hidden states and the LM head. */
  function withNode(opType: string, constant: Tensor): Model {
    const { model } = tinyDecoder({ vocabulary: 64 })
    const { hidden } = describeDecoder(model).head
    const node: Node = {
      opType,
      domain: '',
      name: 'last',
      inputs: [hidden, 'constant'],
      outputs: ['changed'],
      attributes: new Map(),
    }
    const { nodes, initializers, ...rest } = replaceAllUsesWith(model.graph, hidden, 'changed')
    return {
      ...model,
      graph: {
        ...rest,
        nodes: [...nodes, node],
        initializers: new Map([...initializers, ['constant', storeTensor(constant)]]),
      },
    }
  }

  test.each([
    [
      'fails in a decode step',
      withNode('Reshape', int64([1, 1, 16])),
      /one decode step of .*model.onnx to run, got: .*eshape/,
    ],
    ['computes NaN', withNode('Mul', float32(Number.NaN)), /got: states that are NaN or infinite/],
  ])('is refused at load when it %s', async (_, model, message) => {
    await using directory = await tinyModelDirectory()
    await directory.write('onnx/model.onnx', encodeModel(model))
    const { config, sizes, graphFile } = await loadModelDirectory(directory.path)
    await expect(loadGraphs({ graphFile, config, sizes, ...ON_CPU }, 'cpu')).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(message),
    })
  })
})

test.each([
  [
    'plain',
    1,
    /at most 0.00 GiB .* got 0.00 GiB: weights of 0.00 GiB, without caches; take a smaller or quant/,
  ],
  [
    'quantized',
    2,
    /got 0.00 GiB: weights of .*, in each of 2 processes, without caches; .* or fewer ENGINE_REPLICAS/,
  ],
] as const)(
  'a model of a %s head that does not fit into memory is refused with the sum',
  async (head, replicas, message) => {
    await using directory = await tinyModelDirectory({ ...DECODER, head })
    const { config, sizes, graphFile } = await loadModelDirectory(directory.path)
    const options = {
      graphFile,
      config,
      sizes,
      ...ON_CPU,
      replicas,
    } as const
    const { size } = await stat(graphFile)
    const least = replicas * size
    await expect(loadGraphs(options, 'cpu', least - 1)).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(message),
    })
    await expect(loadGraphs(options, 'cpu', least)).resolves.toBeDefined()
  },
)

test("external data behind links of the hub's cache is read", async () => {
  await using directory = await tinyModelDirectory(DECODER)
  const file = await readFile(join(directory.path, 'onnx/model.onnx'))
  // The weights lie in a copy of the file itself, under the name of a blob.
  const model = externalizeInitializers(decodeModel(file), file, 'model.onnx_data')
  const cache = await mkdtemp(join(tmpdir(), 'circadian-hub-'))
  try {
    const snapshot = join(cache, 'snapshots/4f3d')
    await mkdir(join(cache, 'blobs'))
    await cp(directory.path, snapshot, { recursive: true })
    await writeFile(join(cache, 'blobs/graph'), encodeModel(model))
    await writeFile(join(cache, 'blobs/weights'), file)
    await rm(join(snapshot, 'onnx/model.onnx'))
    await symlink('../../../blobs/graph', join(snapshot, 'onnx/model.onnx'))
    await symlink('../../../blobs/weights', join(snapshot, 'onnx/model.onnx_data'))
    const { config, sizes, graphFile } = await loadModelDirectory(snapshot)
    const { generation } = await loadGraphs({ graphFile, config, sizes, ...ON_CPU }, 'cpu')
    expect(generation.hiddenSize).toBe(128)
  } finally {
    await rm(cache, { recursive: true })
  }
})

test.each([
  { replicas: 1, available: 8, machine: 8, threads: null },
  { replicas: 2, available: 8, machine: 8, threads: 4 },
  { replicas: 3, available: 8, machine: 8, threads: 3 },
  // A container with two CPUs of a machine with 64.
  { replicas: 1, available: 2, machine: 64, threads: 2 },
  { replicas: 4, available: 2, machine: 64, threads: 1 },
])('$replicas processes with $available of $machine CPUs have $threads threads each', (one) => {
  expect(threadsOfProcess(one.replicas, one.available, one.machine)).toBe(one.threads)
})
