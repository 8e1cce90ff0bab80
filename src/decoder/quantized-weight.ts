/** @file LM heads quantised by MatMulNBits (com.microsoft): the product as exported, and W as a dense matrix. */

import { DATA_TYPES, int, string, type Tape } from '#onnx'
import { createTensor, float32, int64 } from '#tensor'
import type { QuantizedProjection } from './lm-head.ts'

/** Emits the exported product again, on other inputs. */
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
 * Emits W = (q - zero point) * scale as float32 `[V, D]`. All of it is constant, so ONNX Runtime folds it once when the
 * session is made: the dense matrix is held in memory, 4 bytes per weight. Needs operator set 18 (BitwiseAnd).
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
  // Zero points are packed along the blocks of a row, which an odd number of 4-bit ones leaves with one to spare.
  const zero = zeroPoints
    ? reshape(
        tape.op('Slice', [
          reshape(toFloat(unpack(tape, rename(zeroPoints), bits, [rows, -1])), [rows, -1]),
          ...[[0], [blocks], [1]].map((bound) => tape.constant(int64(bound))),
        ]),
        [rows, blocks, 1],
      )
    : tape.constant(float32(2 ** (bits - 1)))
  const scale = reshape(toFloat(rename(scales)), [rows, blocks, 1])
  const dense = reshape(tape.op('Mul', [tape.op('Sub', [codes, zero]), scale]), [rows, blocks * blockSize])
  return tape.op('Slice', [dense, ...[[0], [columns], [1]].map((bound) => tape.constant(int64(bound)))])
}

/** Bytes to numbers: 8-bit ones are bytes; of two 4-bit ones the low half comes first. Adds a last axis. */
function unpack(tape: Tape, packed: string, bits: number, shape: number[]): string {
  const bytes = tape.op('Reshape', [packed, tape.constant(int64([...shape, 1]))])
  if (bits === 8) return bytes
  const byte = (value: number) => tape.constant(createTensor('uint8', [], Uint8Array.of(value)))
  const low = tape.op('BitwiseAnd', [bytes, byte(15)])
  const high = tape.op('BitShift', [bytes, byte(4)], { direction: string('RIGHT') })
  return tape.op('Concat', [low, high], { axis: int(-1) })
}
