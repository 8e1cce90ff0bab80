/** @file Element types of the format: code, name, width. */

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

const BITS: Readonly<Record<number, number>> = {
  ...{ 1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64 },
  ...{ 14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8 },
}

/** The host element type of a code; undefined for those that host tensors do not hold (strings, bfloat16, int4, ...). */
export function dtypeOf(code: number): DType | undefined {
  return NAMES.get(code)
}

/** A name for messages. */
export function dataTypeName(code: number): string {
  return NAMES.get(code) ?? (code === 16 ? 'bfloat16' : code === 8 ? 'string' : `data type ${code}`)
}

/** Bits per element; undefined for strings and codes newer than this table. Four-bit types are packed two per byte. */
export function bitsOf(code: number): number | undefined {
  return BITS[code]
}
