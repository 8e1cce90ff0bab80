/** @file Host tensors: element type, shape and a typed array, row-major. */

import { ServiceError } from '#errors'

interface TypedArrays {
  float32: Float32Array
  float64: Float64Array
  /** Raw half-precision bits; see `toFloat16`. */
  float16: Uint16Array
  int64: BigInt64Array
  uint64: BigUint64Array
  int32: Int32Array
  uint32: Uint32Array
  int16: Int16Array
  uint16: Uint16Array
  int8: Int8Array
  uint8: Uint8Array
  /** 0 or 1. */
  bool: Uint8Array
}

export type DType = keyof TypedArrays

export interface Tensor<D extends DType = DType> {
  readonly dtype: D
  readonly shape: readonly number[]
  readonly data: TypedArrays[D]
}

/** Returns the number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1)
}

/**
 * Wraps `data` without copying it.
 * @throws ServiceError SHAPE_MISMATCH when its length does not match the shape.
 */
export function createTensor<D extends DType>(
  dtype: D,
  shape: readonly number[],
  data: TypedArrays[D],
): Tensor<D> {
  if (data.length !== elementCount(shape)) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `tensor: expected ${elementCount(shape)} elements for shape [${shape}], got ${data.length}`,
    )
  }
  return { dtype, shape, data }
}

type Numbers = number | ArrayLike<number>

/** Creates a float32 tensor: a scalar from a number, a vector from an array unless `shape` is given. */
export function float32(values: Numbers, shape?: readonly number[]): Tensor<'float32'> {
  const data = typeof values === 'number' ? Float32Array.of(values) : Float32Array.from(values)
  return createTensor('float32', shape ?? (typeof values === 'number' ? [] : [data.length]), data)
}

/** Creates an int64 tensor: a scalar from a number, a vector from an array unless `shape` is given. */
export function int64(values: Numbers, shape?: readonly number[]): Tensor<'int64'> {
  const data = BigInt64Array.from(typeof values === 'number' ? [values] : Array.from(values), BigInt)
  return createTensor('int64', shape ?? (typeof values === 'number' ? [] : [data.length]), data)
}

/** Creates a bool tensor: a scalar from a boolean, a vector from an array. */
export function bool(values: boolean | readonly boolean[]): Tensor<'bool'> {
  const data = Uint8Array.from(typeof values === 'boolean' ? [values] : values, Number)
  return createTensor('bool', typeof values === 'boolean' ? [] : [data.length], data)
}
