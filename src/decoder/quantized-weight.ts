/**
 * @file Quantised LM heads (MatMulNBits of com.microsoft): the product as exported, and products with W as a dense
 * matrix, of which only a few rows exist at a time.
 */

import { DATA_TYPES, int, type StoredTensor, string, type Tape } from '#onnx'
import { createTensor, int64 } from '#tensor'
import type { QuantizedProjection } from './lm-head.ts'

/** TensorProto.DataType code of packed 4-bit numbers, which no host tensor holds. */
const UINT4 = 21
/** Upper bound on the numbers of W that are dense at the same time: 16 MiB. */
const MAX_DENSE_NUMBERS = 2 ** 22

/** Emits the exported product with `z` as its input. */
export function emitMatMulNBits(
  tape: Tape,
  projection: QuantizedProjection,
  z: string,
  rename: (name: string) => string,
): string {
  const { weight, scales, zeroPoints, bits, blockSize, accuracyLevel, rows, columns } = projection
  const inputs = [z, rename(weight), rename(scales), zeroPoints && rename(zeroPoints)]
  const attributes = { K: int(columns), N: int(rows), bits: int(bits), block_size: int(blockSize) }
  return tape.op(
    'MatMulNBits',
    zeroPoints ? inputs : inputs.slice(0, 3),
    { ...attributes, ...(accuracyLevel !== null && { accuracy_level: int(accuracyLevel) }) },
    'com.microsoft',
  )
}

/** Rows [from, to) of W, as names of constants. */
interface RowRange {
  readonly from: number
  readonly to: number
  /** `[to - from, blocks * blockSize]`, uint4 or uint8. */
  readonly codes: string
  /** `[to - from, blocks]` */
  readonly scales: string
  /** `[to - from, blocks]` of the type of `codes`, or, `arePacked`, uint8 `[to - from, ceil(blocks / 2)]`. */
  readonly zeroPoints: string
  readonly arePacked: boolean
}

/** A quantised W as constants of a few rows each. */
export interface RowRanges {
  readonly initializers: ReadonlyMap<string, StoredTensor>
  readonly ranges: readonly RowRange[]
}

/**
 * Divides a quantised W into ranges of rows, which share the bytes of the stored tensors, external data included.
 *
 * @param constants the stored tensors by their names in `projection`
 * @param prefix of the names of the new constants
 */
export function divideRows(
  projection: QuantizedProjection,
  constants: ReadonlyMap<string, StoredTensor>,
  prefix: string,
): RowRanges {
  const { rows, columns, bits, blockSize } = projection
  const blocks = Math.ceil(columns / blockSize)
  const count = Math.max(1, Math.floor(MAX_DENSE_NUMBERS / (blocks * blockSize)))
  const codeType = bits === 4 ? UINT4 : DATA_TYPES.uint8
  const codeBytes = (blocks * blockSize * bits) / 8
  const [weight, scales] = [projection.weight, projection.scales].map((name) => constants.get(name)!)
  const zeroPoints = projection.zeroPoints === null ? undefined : constants.get(projection.zeroPoints)!
  const zeroBytes = Math.ceil((blocks * bits) / 8)
  // Two zero points share a byte, and rows begin with a byte: with an odd number of blocks, one is padding.
  const arePacked = zeroPoints !== undefined && bits === 4 && blocks % 2 === 1
  const initializers = new Map<string, StoredTensor>()
  const ranges: RowRange[] = []
  for (let from = 0; from < rows; from += count) {
    const to = Math.min(rows, from + count)
    const part = (name: string, tensor: StoredTensor) => {
      initializers.set(`${prefix}${name}/${from}`, tensor)
      return `${prefix}${name}/${from}`
    }
    const zeros = zeroPoints
      ? arePacked
        ? takeRows(zeroPoints, DATA_TYPES.uint8, [from, to], zeroBytes, zeroBytes)
        : takeRows(zeroPoints, codeType, [from, to], zeroBytes, blocks)
      : middle(codeType, [to - from, blocks])
    ranges.push({
      from,
      to,
      codes: part('codes', takeRows(weight!, codeType, [from, to], codeBytes, blocks * blockSize)),
      scales: part(
        'scales',
        takeRows(scales!, scales!.dataType, [from, to], blocks * bytesOf(scales!), blocks),
      ),
      zeroPoints: part('zeros', zeros),
      arePacked,
    })
  }
  return { initializers, ranges }
}

/**
 * Emits x W for x `[S, V]` and W `[V, D]`, (q - zero point) * scale in float32. Each range of rows is dequantised,
 * multiplied and freed, so that no more than 16 MiB of the dense W exist. Needs operator set 21 (DequantizeLinear
 * of blocks), and a session that folds no constants: ONNX Runtime would hold all of W.
 *
 * Saves 4 V D bytes. With 15 latents, V = 65,536, D = 896 and two threads it takes 250 ms of processor time; a
 * product with a dense W that stays in memory takes 45 ms, and one with arithmetic on bytes in place of
 * DequantizeLinear 700 ms.
 */
export function emitProductWithRows(
  tape: Tape,
  projection: QuantizedProjection,
  { ranges }: RowRanges,
  x: string,
): string {
  const { columns, blockSize } = projection
  const blocks = Math.ceil(columns / blockSize)
  const products = ranges.map((range) => {
    const part = emitSlice(tape, x, range.from, range.to)
    return tape.op('MatMul', [part, emitDense(tape, range, blocks, blockSize)])
  })
  // [S, blocks * blockSize]: the columns beyond D are padding.
  const sum = products.reduce((left, right) => tape.op('Add', [left, right]))
  return emitSlice(tape, sum, 0, columns)
}

/** Emits the dense rows of a range, `[to - from, blocks * blockSize]`, float32. */
function emitDense(tape: Tape, range: RowRange, blocks: number, blockSize: number): string {
  const { codes, zeroPoints, arePacked, from, to } = range
  const scales = tape.op('Cast', [range.scales], { to: int(DATA_TYPES.float32) })
  const attributes = { axis: int(1), block_size: int(blockSize) }
  if (!arePacked) return tape.op('DequantizeLinear', [codes, scales, zeroPoints], attributes)
  const reshape = (value: string, shape: number[]) => tape.op('Reshape', [value, tape.constant(int64(shape))])
  const scaled = reshape(tape.op('DequantizeLinear', [codes, scales], attributes), [-1, blocks, blockSize])
  const unpacked = tape.op('Cast', [emitHalves(tape, zeroPoints, to - from)], { to: int(DATA_TYPES.float32) })
  const shifts = tape.op('Mul', [emitSlice(tape, unpacked, 0, blocks), scales])
  return reshape(tape.op('Sub', [scaled, reshape(shifts, [-1, blocks, 1])]), [-1, blocks * blockSize])
}

/** Emits the 4-bit numbers of packed bytes `[rows, n]`, low half first: `[rows, 2 n]`, uint8. */
function emitHalves(tape: Tape, packed: string, rows: number): string {
  const bytes = tape.op('Reshape', [packed, tape.constant(int64([rows, -1, 1]))])
  const byte = (value: number) => tape.constant(createTensor('uint8', [], Uint8Array.of(value)))
  const low = tape.op('BitwiseAnd', [bytes, byte(15)])
  const high = tape.op('BitShift', [bytes, byte(4)], { direction: string('RIGHT') })
  const pairs = tape.op('Concat', [low, high], { axis: int(-1) })
  return tape.op('Reshape', [pairs, tape.constant(int64([rows, -1]))])
}

/** Emits columns [from, to) of a matrix. */
function emitSlice(tape: Tape, matrix: string, from: number, to: number): string {
  const bounds = [[from], [to], [1]].map((bound) => tape.constant(int64(bound)))
  return tape.op('Slice', [matrix, ...bounds])
}

/** Returns rows of a stored tensor of `rowBytes` per row, as a matrix of `width` columns; no bytes are copied. */
function takeRows(
  tensor: StoredTensor,
  dataType: number,
  [from, to]: readonly [number, number],
  rowBytes: number,
  width: number,
): StoredTensor {
  const dims = [to - from, width]
  const { external, bytes } = tensor
  if (!external) {
    return { dataType, dims, bytes: bytes.subarray(from * rowBytes, to * rowBytes), external: undefined }
  }
  const offset = Number(external.get('offset') ?? 0) + from * rowBytes
  const place = new Map([
    ...external,
    ['offset', String(offset)],
    ['length', String((to - from) * rowBytes)],
  ] as const)
  return { dataType, dims, bytes, external: place }
}

/** Returns the zero points of a matrix without any: the middle of the range of codes. */
function middle(codeType: number, dims: readonly [number, number]): StoredTensor {
  const numbers = dims[0] * dims[1]
  const bytes =
    codeType === UINT4 ? new Uint8Array(Math.ceil(numbers / 2)).fill(0x88) : new Uint8Array(numbers).fill(128)
  return { dataType: codeType, dims, bytes, external: undefined }
}

function bytesOf({ dataType }: StoredTensor): number {
  return dataType === DATA_TYPES.float32 ? 4 : 2
}
