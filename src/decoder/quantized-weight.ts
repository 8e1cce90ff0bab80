/**
 * @file Quantised LM heads (MatMulNBits of com.microsoft): the product as exported, and W as a dense matrix.
 */

import { DATA_TYPES, int, string, type Tape } from '#onnx'
import { createTensor, float32, int64 } from '#tensor'
import type { QuantizedProjection } from './lm-head.ts'

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

/**
 * Emits W = (q - zero point) * scale as float32 `[V, D]`. All inputs are constant, so ONNX Runtime folds the
 * nodes when it creates the session and holds the dense matrix in memory, 4 bytes per weight. Needs operator
 * set 18 (BitwiseAnd).
 */
export function emitDequantized(
  tape: Tape,
  projection: QuantizedProjection,
  rename: (name: string) => string,
): string {
  const { weight, scales, zeroPoints, bits, blockSize, rows, columns } = projection
  const blocks = Math.ceil(columns / blockSize)
  const reshape = (value: string, shape: number[]) => tape.op('Reshape', [value, tape.constant(int64(shape))])
  const toFloat = (value: string) => tape.op('Cast', [value], { to: int(DATA_TYPES.float32) })

  const codes = reshape(toFloat(unpack(tape, rename(weight), bits, [rows, blocks, -1])), [
    rows,
    blocks,
    blockSize,
  ])
  // Zero points are packed along the blocks of a row: with 4 bits and an odd number of blocks, one entry is
  // padding.
  const zero = zeroPoints
    ? reshape(
        tape.op('Slice', [
          reshape(toFloat(unpack(tape, rename(zeroPoints), bits, [rows, -1])), [rows, -1]),
          tape.constant(int64([0])),
          tape.constant(int64([blocks])),
          tape.constant(int64([1])),
        ]),
        [rows, blocks, 1],
      )
    : tape.constant(float32(2 ** (bits - 1)))
  const scale = reshape(toFloat(rename(scales)), [rows, blocks, 1])
  const dense = reshape(tape.op('Mul', [tape.op('Sub', [codes, zero]), scale]), [rows, blocks * blockSize])
  return tape.op('Slice', [
    dense,
    tape.constant(int64([0])),
    tape.constant(int64([columns])),
    tape.constant(int64([1])),
  ])
}

/**
 * Emits numbers from packed bytes: one 8-bit number, or two 4-bit numbers, low half first. Adds a last axis.
 */
function unpack(tape: Tape, packed: string, bits: number, shape: number[]): string {
  const bytes = tape.op('Reshape', [packed, tape.constant(int64([...shape, 1]))])
  if (bits === 8) return bytes
  const byte = (value: number) => tape.constant(createTensor('uint8', [], Uint8Array.of(value)))
  const low = tape.op('BitwiseAnd', [bytes, byte(15)])
  const high = tape.op('BitShift', [bytes, byte(4)], { direction: string('RIGHT') })
  return tape.op('Concat', [low, high], { axis: int(-1) })
}
