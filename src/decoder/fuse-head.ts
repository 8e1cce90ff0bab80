/**
 * @file Rewrites an LM head of MatMul over DequantizeLinear (QDQ exports) as MatMulNBits, the form that the rest of
 * this room reads. ONNX Runtime fuses the same pair when it optimises a graph.
 */

import {
  DATA_TYPES,
  type Graph,
  int,
  intAttribute,
  type Model,
  type Node,
  producers,
  type StoredTensor,
} from '#onnx'
import { constantsOf } from './lm-head.ts'

/** Returns the bytes of a stored tensor, inline or external. */
export type ReadTensor = (tensor: StoredTensor) => Uint8Array

/** TensorProto.DataType codes of the packed types, which no host tensor holds. */
const [UINT4, INT4] = [21, 22]

/** Bits and sign of the element types that are understood. */
const CODES: Readonly<Record<number, { readonly bits: 4 | 8; readonly signed: boolean }>> = {
  [DATA_TYPES.int8]: { bits: 8, signed: true },
  [DATA_TYPES.uint8]: { bits: 8, signed: false },
  [INT4]: { bits: 4, signed: true },
  [UINT4]: { bits: 4, signed: false },
}

/** Block size for matrices with one scale per tensor or per token, which all blocks of a token then share. */
const BLOCK = 32

/**
 * Returns the model with `logits` = MatMulNBits, or the same object when the head has another form. Understands
 * int8, uint8, int4 and uint4 with one scale for all, per token, or per block along D, with or without zero
 * points. The repacked weights are inline: V D / 2 or V D bytes.
 */
export function fuseHead(model: Model, read: ReadTensor): Model {
  const found = findDequantized(model.graph)
  if (!found) return model
  const packed = pack(found, read)
  const stem = found.product.outputs[0]!
  const names = ['weight', 'scales', 'zero_points'].map((part) => `${stem}/fused/${part}`)
  const fused: Node = {
    ...found.product,
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    inputs: [found.product.inputs[0]!, ...names],
    attributes: new Map([
      ['K', int(found.columns)],
      ['N', int(found.rows)],
      ['bits', int(found.bits)],
      ['block_size', int(found.blockSize)],
    ]),
  }
  return {
    ...model,
    opsetImports: new Map([...model.opsetImports, ['com.microsoft', 1]]),
    graph: {
      ...model.graph,
      nodes: model.graph.nodes.map((node) => (node === found.product ? fused : node)),
      initializers: new Map([
        ...model.graph.initializers,
        ...names.map((name, index) => [name, packed[index]!] as const),
      ]),
    },
  }
}

interface Dequantized {
  readonly product: Node
  readonly weight: StoredTensor
  readonly scales: StoredTensor
  readonly zeroPoints: StoredTensor | null
  readonly bits: 4 | 8
  readonly signed: boolean
  /** Whether `weight` is `[V, D]`, else `[D, V]`. */
  readonly rowsAreTokens: boolean
  /** V and D. */
  readonly rows: number
  readonly columns: number
  readonly blockSize: number
  /** Place of the scale of token v and block b. */
  readonly placeOfScale: (token: number, block: number) => number
}

function findDequantized(graph: Graph): Dequantized | null {
  const byOutput = producers(graph)
  const constants = constantsOf(graph)
  const product = productBefore('logits', byOutput)
  let source = product && byOutput.get(product.inputs[1]!)
  let rowsAreTokens = false
  if (source?.opType === 'Transpose') {
    rowsAreTokens = true
    source = byOutput.get(source.inputs[0]!)
  }
  if (!product || source?.opType !== 'DequantizeLinear') return null
  const [weight, scales, zeroPoints = null] = source.inputs.map((name) => constants.get(name))
  const codes = weight && CODES[weight.dataType]
  if (!codes || !scales || weight.dims.length !== 2) return null
  const [tokenAxis, stateAxis] = rowsAreTokens ? [0, 1] : [1, 0]
  const [rows, columns] = [weight.dims[tokenAxis]!, weight.dims[stateAxis]!]
  const blockSize = intAttribute(source, 'block_size', 0)
  const axis = (intAttribute(source, 'axis', 1) + 2) % 2
  const blocks = Math.ceil(columns / blockSize)
  const common = { product, weight, scales, zeroPoints, ...codes, rowsAreTokens, rows, columns }
  if (blockSize > 0) {
    if (axis !== stateAxis || blockSize < 16 || (blockSize & (blockSize - 1)) !== 0) return null
    const placeOfScale = (token: number, block: number) =>
      rowsAreTokens ? token * blocks + block : block * rows + token
    return { ...common, blockSize, placeOfScale }
  }
  if (scales.dims.length === 0 || scales.dims[0] === 1) {
    return { ...common, blockSize: BLOCK, placeOfScale: () => 0 }
  }
  return axis === tokenAxis ? { ...common, blockSize: BLOCK, placeOfScale: (token) => token } : null
}

/** Returns the MatMul from which a value is computed by ops that change no number. */
function productBefore(name: string, byOutput: ReadonlyMap<string, Node>): Node | undefined {
  const node = byOutput.get(name)
  if (node?.opType === 'MatMul' && node.domain === '') return node
  const passes = node && ['Identity', 'Cast', 'Reshape'].includes(node.opType)
  return passes ? productBefore(node.inputs[0]!, byOutput) : undefined
}

/** Packs weight, scales and zero points as MatMulNBits reads them: along D for each token, low bits first. */
function pack(found: Dequantized, read: ReadTensor): readonly StoredTensor[] {
  const { rows, columns, bits, signed, rowsAreTokens, blockSize, placeOfScale } = found
  const blocks = Math.ceil(columns / blockSize)
  const offset = signed ? 2 ** (bits - 1) : 0
  const codeOf = reader(read(found.weight), bits, offset)
  const zeroOf = found.zeroPoints ? reader(read(found.zeroPoints), bits, offset) : () => offset
  const perByte = 8 / bits
  const rowBytes = (blocks * blockSize) / perByte
  const weight = new Uint8Array(rows * rowBytes)
  const zeroBytes = Math.ceil(blocks / perByte)
  const zeroPoints = new Uint8Array(rows * zeroBytes)
  const scaleBytes = found.scales.dataType === DATA_TYPES.float16 ? 2 : 4
  const scales = new Uint8Array(rows * blocks * scaleBytes)
  const given = read(found.scales)
  for (let token = 0; token < rows; token++) {
    for (let index = 0; index < columns; index++) {
      const code = codeOf(rowsAreTokens ? token * columns + index : index * rows + token)
      weight[token * rowBytes + Math.floor(index / perByte)]! |= code << ((index % perByte) * bits)
    }
    for (let block = 0; block < blocks; block++) {
      const place = placeOfScale(token, block)
      zeroPoints[token * zeroBytes + Math.floor(block / perByte)]! |=
        zeroOf(place) << ((block % perByte) * bits)
      const from = place * scaleBytes
      scales.set(given.subarray(from, from + scaleBytes), (token * blocks + block) * scaleBytes)
    }
  }
  const inline = (dataType: number, dims: readonly number[], bytes: Uint8Array): StoredTensor => ({
    dataType,
    dims,
    bytes,
    external: undefined,
  })
  return [
    inline(DATA_TYPES.uint8, [rows, blocks, blockSize / perByte], weight),
    inline(found.scales.dataType, [rows * blocks], scales),
    inline(DATA_TYPES.uint8, [rows * zeroBytes], zeroPoints),
  ]
}

/** Returns the numbers of a tensor by index, shifted by `offset` so that none is negative. */
function reader(bytes: Uint8Array, bits: 4 | 8, offset: number): (index: number) => number {
  if (bits === 8) return (index) => (bytes[index]! + offset) & 255
  return (index) => (((bytes[index >> 1]! >> (4 * (index & 1))) & 15) + offset) & 15
}
