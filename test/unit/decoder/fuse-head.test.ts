/** @file LM heads behind DequantizeLinear: after the rewrite, the logits are those of the exported graph. */

import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, suite, test } from 'vitest'
import { compileHeadLogits, describeDecoder, fuseHead } from '#decoder'
import {
  type Attribute,
  createGraph,
  createModel,
  encodeModel,
  int,
  type Model,
  type Node,
  type StoredTensor,
  storeTensor,
  value,
} from '#onnx'
import { createRandom, float32 } from '#tensor'
import { tinyDecoder } from '../../fixtures/tiny-decoder.ts'

const [V, D] = [64, 32]
const [UINT8, INT8, UINT4, INT4] = [2, 3, 21, 22]
const random = createRandom(5)
const bytes = (length: number) => Uint8Array.from({ length }, () => Math.floor(random.uniform() * 256))
const stored = (dataType: number, dims: readonly number[]): StoredTensor => ({
  dataType,
  dims,
  bytes: bytes(dims.reduce((product, dim) => product * dim, 1) / (dataType >= UINT4 ? 2 : 1)),
  external: undefined,
})
const scales = (dims: readonly number[]) =>
  storeTensor(
    float32(
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 0.01 + random.uniform() / 50),
      [...dims],
    ),
  )

interface Quantised {
  readonly dataType: number
  readonly dims: readonly [number, number]
  readonly scaleDims: readonly number[]
  readonly zero: boolean
  readonly attributes: Readonly<Record<string, number>>
}

/** Nodes and constants of `logits` = `input` times a dequantised matrix. */
function head(input: string, { dataType, dims, scaleDims, zero, attributes }: Quantised) {
  const isTransposed = dims[0] === V
  const node = (
    opType: string,
    inputs: string[],
    output: string,
    named: Readonly<Record<string, number>> = {},
  ): Node => ({
    opType,
    domain: '',
    name: output,
    inputs,
    outputs: [output],
    attributes: new Map<string, Attribute>(
      Object.entries(named).map(([name, number]) => [name, int(number)]),
    ),
  })
  const matrix = isTransposed ? 'turned' : 'dense'
  return {
    nodes: [
      node('DequantizeLinear', ['q', 's', ...(zero ? ['zero'] : [])], 'dense', attributes),
      ...(isTransposed ? [node('Transpose', ['dense'], 'turned')] : []),
      node('MatMul', [input, matrix], 'logits'),
    ],
    initializers: new Map([
      ['q', stored(dataType, dims)],
      ['s', scales(scaleDims)],
      ...(zero ? [['zero', stored(dataType, scaleDims)] as const] : []),
    ]),
  }
}

async function run(
  model: Uint8Array,
  feeds: Record<string, Tensor>,
  level: 'all' | 'disabled' = 'all',
): Promise<Float32Array> {
  const session = await InferenceSession.create(model, { graphOptimizationLevel: level })
  return (await session.run(feeds, ['logits']))['logits']!.data as Float32Array
}

suite('fuseHead()', () => {
  test.each<[string, Quantised]>([
    ['int8, one scale', { dataType: INT8, dims: [D, V], scaleDims: [], zero: false, attributes: {} }],
    [
      'uint8 by token',
      { dataType: UINT8, dims: [D, V], scaleDims: [V], zero: true, attributes: { axis: 1 } },
    ],
    [
      'int8 by token, tied',
      { dataType: INT8, dims: [V, D], scaleDims: [V], zero: true, attributes: { axis: 0 } },
    ],
    [
      'int4 in blocks',
      {
        dataType: INT4,
        dims: [D, V],
        scaleDims: [2, V],
        zero: true,
        attributes: { axis: 0, block_size: 16 },
      },
    ],
    [
      'uint4 in blocks, tied',
      {
        dataType: UINT4,
        dims: [V, D],
        scaleDims: [V, 2],
        zero: false,
        attributes: { axis: -1, block_size: 16 },
      },
    ],
  ])('%s', async (_, quantised) => {
    const { model } = tinyDecoder({ width: D, vocabulary: V })
    const { head: dense } = describeDecoder(model)
    const { nodes, initializers } = head(dense.hidden, quantised)
    const exported: Model = {
      ...model,
      opsetImports: new Map([['', 21]]),
      graph: {
        ...model.graph,
        nodes: [...model.graph.nodes.filter(({ outputs }) => outputs[0] !== 'logits'), ...nodes],
        initializers: new Map([...model.graph.initializers, ...initializers]),
      },
    }
    expect(() => describeDecoder(exported)).toThrow(
      /MatMul "logits" with the matrix of DequantizeLinear "dense"/,
    )
    const fused = fuseHead(exported, (tensor) => tensor.bytes)
    const description = describeDecoder(fused)
    expect(description).toMatchObject({ vocabularySize: V, hiddenSize: D, head: { hidden: dense.hidden } })

    const z = float32(
      Float32Array.from({ length: 3 * D }, () => random.uniform() - 0.5),
      [3, D],
    )
    const alone = head('z', quantised)
    const reference = createModel(
      createGraph({
        name: 'reference',
        inputs: [value('z', 'float32', [3, D])],
        outputs: [value('logits', 'float32', [3, V])],
        nodes: alone.nodes,
        initializers,
      }),
      { '': 21 },
    )
    // Optimised, ONNX Runtime fuses the pair too, and rounds activations to 8 bits (accuracy level 4).
    const input = new Tensor('float32', z.data as Float32Array, [3, D])
    const expected = await run(encodeModel(reference), { z: input }, 'disabled')
    const got = await run(compileHeadLogits(fused, description), {
      z: input,
      token_ids: new Tensor(
        'int64',
        BigInt64Array.from({ length: V }, (_, token) => BigInt(token)),
        [V],
      ),
      temperature: new Tensor('float32', [1], []),
      uniforms: new Tensor('float32', [], [0, 3]),
      likely: new Tensor('int64', BigInt64Array.of(0n), [1]),
    })
    expect(got).toHaveLength(expected.length)
    for (const [index, logit] of expected.entries()) expect(got[index]).toBeCloseTo(logit, 4)
  })

  test('leaves other heads as they are, and those with a scale per state', () => {
    const { model } = tinyDecoder({ width: D, vocabulary: V })
    expect(fuseHead(model, (tensor) => tensor.bytes)).toBe(model)
    const { nodes, initializers } = head(describeDecoder(model).head.hidden, {
      dataType: INT8,
      dims: [D, V],
      scaleDims: [D],
      zero: false,
      attributes: { axis: 0 },
    })
    const perState: Model = {
      ...model,
      graph: {
        ...model.graph,
        nodes: [...model.graph.nodes.filter(({ outputs }) => outputs[0] !== 'logits'), ...nodes],
        initializers: new Map([...model.graph.initializers, ...initializers]),
      },
    }
    expect(fuseHead(perState, (tensor) => tensor.bytes)).toBe(perState)
    expect(() => describeDecoder(perState)).toThrow(/build the model without use_qdq/)
  })
})
