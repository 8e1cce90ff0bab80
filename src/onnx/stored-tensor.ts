/** @file Conversion between host tensors and the tensors stored in a model. */

import { ServiceError } from '#errors'
import { createTensor, type DType, elementCount, type Tensor } from '#tensor'
import { bitsOf, DATA_TYPES, dataTypeName, dtypeOf } from './data-type.ts'
import type { StoredTensor } from './model.ts'

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>

/** Returns the size in bytes of a tensor of shape `dims`; undefined when the width of its type is unknown. */
export function byteLengthOf(dataType: number, dims: readonly number[]): number | undefined {
  const bits = bitsOf(dataType)
  return bits === undefined ? undefined : Math.ceil((elementCount(dims) * bits) / 8)
}

/** Stores a host tensor without copying it: the stored tensor shares its memory. */
export function storeTensor(tensor: Tensor): StoredTensor {
  const { buffer, byteOffset, byteLength } = tensor.data
  return {
    dataType: DATA_TYPES[tensor.dtype],
    dims: tensor.shape,
    bytes: new Uint8Array(buffer, byteOffset, byteLength),
    external: undefined,
  }
}

/**
 * Copies a stored tensor into a host tensor.
 * @throws ServiceError MODEL_UNSUPPORTED when the data is external or the element type has no host array.
 */
export function loadTensor(stored: StoredTensor): Tensor {
  const dtype = dtypeOf(stored.dataType)
  if (stored.external || dtype === undefined) {
    const got = stored.external ? 'external data' : dataTypeName(stored.dataType)
    throw new ServiceError('MODEL_UNSUPPORTED', `load tensor: expected inline numbers, got ${got}`)
  }
  const data = new ARRAYS[dtype](elementCount(stored.dims))
  new Uint8Array(data.buffer).set(stored.bytes)
  return createTensor(dtype, stored.dims, data as Tensor['data'])
}
