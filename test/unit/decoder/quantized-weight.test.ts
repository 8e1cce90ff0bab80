/** @file Products with the dense form of a quantised LM head, of which a few rows exist at a time. */

import { expect, test } from 'vitest'
import { createModel, createTape, DATA_TYPES, encodeModel, type StoredTensor, value } from '#onnx'
import { createRandom, createTensor } from '#tensor'
import type { QuantizedProjection } from '../../../src/decoder/lm-head.ts'
import { divideRows, emitProductWithRows } from '../../../src/decoder/quantized-weight.ts'
import { createSession } from '../../../src/engine/child/onnx-runtime.ts'

const BLOCK = 32

interface Shape {
  readonly rows: number
  readonly columns: number
  readonly bits: 4 | 8
  readonly withZeros: boolean
}

/** Returns the stored form of a random W, as MatMulNBits reads it. */
function randomHead({ rows, columns, bits, withZeros }: Shape) {
  const random = createRandom(rows + columns + bits)
  const blocks = Math.ceil(columns / BLOCK)
  const bytes = (count: number) =>
    Uint8Array.from({ length: count }, () => Math.floor(256 * random.uniform()))
  const scales = Float32Array.from({ length: rows * blocks }, () => 0.01 + random.uniform())
  const codes = bytes((rows * blocks * BLOCK * bits) / 8)
  const zeroBytes = Math.ceil((blocks * bits) / 8)
  const zeros = withZeros ? bytes(rows * zeroBytes) : null
  const stored = (dataType: number, dims: readonly number[], data: Uint8Array): StoredTensor => ({
    dataType,
    dims,
    bytes: data,
    external: undefined,
  })
  const constants = new Map([
    ['w', stored(DATA_TYPES.uint8, [rows, blocks, (BLOCK * bits) / 8], codes)],
    ['s', stored(DATA_TYPES.float32, [rows * blocks], new Uint8Array(scales.buffer))],
    ...(zeros ? ([['z', stored(DATA_TYPES.uint8, [zeros.length], zeros)]] as const) : []),
  ])
  const projection: QuantizedProjection = {
    kind: 'quantized',
    weight: 'w',
    scales: 's',
    zeroPoints: withZeros ? 'z' : null,
    bits,
    blockSize: BLOCK,
    accuracyLevel: null,
    rows,
    columns,
    dataType: DATA_TYPES.float32,
  }
  const half = (data: Uint8Array, index: number) => (data[index >> 1]! >> (4 * (index & 1))) & 15
  const number = (data: Uint8Array, index: number) => (bits === 8 ? data[index]! : half(data, index))
  const dense = (row: number, column: number) => {
    const block = Math.floor(column / BLOCK)
    const zero = zeros ? number(zeros, (row * zeroBytes * 8) / bits + block) : 2 ** (bits - 1)
    return (number(codes, row * blocks * BLOCK + column) - zero) * scales[row * blocks + block]!
  }
  return { projection, constants, dense }
}

/** Returns the graph of x W. */
function graphOf({ projection, constants }: Pick<ReturnType<typeof randomHead>, 'projection' | 'constants'>) {
  const tape = createTape(['x', ...constants.keys()])
  const divided = divideRows(projection, constants, 'part/')
  tape.outputs(['product'], 'Identity', [emitProductWithRows(tape, projection, divided, 'x')])
  const graph = tape.graph({
    name: 'product',
    inputs: [value('x', 'float32', ['S', projection.rows])],
    outputs: [value('product', 'float32', ['S', projection.columns])],
    initializers: divided.initializers,
  })
  return encodeModel(createModel(graph, { '': 21 }))
}

const load = (graph: Uint8Array) =>
  createSession(graph, { provider: 'cpu', cudaDevice: 0, threads: 1, dataFolder: null, folding: false })

test.each<[string, Shape]>([
  ['4 bits', { rows: 70, columns: 64, bits: 4, withZeros: false }],
  ['4 bits, zero points', { rows: 70, columns: 64, bits: 4, withZeros: true }],
  ['4 bits, zero points of an odd number of blocks', { rows: 70, columns: 96, bits: 4, withZeros: true }],
  ['4 bits, the last block partial', { rows: 70, columns: 80, bits: 4, withZeros: true }],
  ['8 bits', { rows: 70, columns: 64, bits: 8, withZeros: false }],
  ['8 bits, zero points of an odd number of blocks', { rows: 70, columns: 96, bits: 8, withZeros: true }],
  ['4 bits, several ranges of rows', { rows: 9000, columns: 512, bits: 4, withZeros: true }],
])('x W with W in %s is that of the dense W', async (_, shape) => {
  const head = randomHead(shape)
  const session = await load(graphOf(head))
  const random = createRandom(1)
  const x = Float32Array.from({ length: 2 * shape.rows }, () => random.uniform() - 0.5)
  const { product } = await session.run({ x: createTensor('float32', [2, shape.rows], x) }, ['product'])
  expect(product.shape).toEqual([2, shape.columns])
  for (const [index, found] of (product.data as Float32Array).entries()) {
    const [row, column] = [Math.floor(index / shape.columns), index % shape.columns]
    let expected = 0
    for (let v = 0; v < shape.rows; v++) expected += x[row * shape.rows + v]! * head.dense(v, column)
    expect(Math.abs(found - expected)).toBeLessThan(2e-5 * shape.rows * 2 ** shape.bits)
  }
  await session.release()
})

test('a session holds no dense W', async () => {
  const [rows, columns] = [2 ** 17, 1024]
  const { projection } = randomHead({ rows: 1, columns, bits: 4, withZeros: false })
  const zeros = (dataType: number, dims: readonly number[], bytes: number): StoredTensor => ({
    dataType,
    dims,
    bytes: new Uint8Array(bytes),
    external: undefined,
  })
  const blocks = columns / BLOCK
  const constants = new Map([
    ['w', zeros(DATA_TYPES.uint8, [rows, blocks, BLOCK / 2], (rows * columns) / 2)],
    ['s', zeros(DATA_TYPES.float32, [rows * blocks], 4 * rows * blocks)],
  ])
  const graph = graphOf({ projection: { ...projection, rows }, constants })
  const before = process.memoryUsage.rss()
  const session = await load(graph)
  await session.run({ x: createTensor('float32', [1, rows], new Float32Array(rows)) }, ['product'])
  // The packed W has 80 MiB, of which ONNX Runtime holds two copies while it loads; the dense W has 512 MiB.
  expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 2 ** 20)
  await session.release()
})
