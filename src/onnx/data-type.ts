/** @file Element types of the ONNX format: code, name, width. */

import type { DType } from '#tensor'

/** TensorProto.DataType codes of the types that host tensors hold. */
export const DATA_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
} as const satisfies Record<DType, number>

const NAMES = new Map(Object.entries(DATA_TYPES).map(([name, code]) => [code as number, name as DType]))

/** TensorProto.DataType codes by the bits that an element takes. */
const CODES_BY_BITS: readonly (readonly [bits: number, codes: readonly number[]])[] = [
  [4, [21, 22, 23]],
  [8, [2, 3, 9, 17, 18, 19, 20, 24]],
  [16, [4, 5, 10, 16]],
  [32, [1, 6, 12]],
  [64, [7, 11, 13, 14]],
  [128, [15]],
]

const BITS = new Map(CODES_BY_BITS.flatMap(([bits, codes]) => codes.map((code) => [code, bits] as const)))

/**
 * Returns the host element type of a code; undefined for types that host tensors do not hold (strings,
 * bfloat16, int4, ...).
 */
export function dtypeOf(code: number): DType | undefined {
  return NAMES.get(code)
}

/** Returns the name of a data type for use in messages. */
export function dataTypeName(code: number): string {
  return NAMES.get(code) ?? (code === 16 ? 'bfloat16' : code === 8 ? 'string' : `data type ${code}`)
}

/**
 * Returns the bits per element; undefined for strings and for unknown codes. Four-bit types are packed two
 * per byte.
 */
export function bitsOf(code: number): number | undefined {
  return BITS.get(code)
}
