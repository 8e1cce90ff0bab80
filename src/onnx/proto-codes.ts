/**
 * @file Codes of the format shared by encoder and decoder, and the original messages of types that the IR
 * reduces.
 */

import type { AttributeType, TensorType } from './model.ts'
import type { TypeProto } from './proto/onnx_pb.js'

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPES: Readonly<Record<number, Exclude<AttributeType, 'opaque'>>> = {
  1: 'float',
  2: 'int',
  3: 'string',
  4: 'tensor',
  5: 'graph',
  6: 'floats',
  7: 'ints',
  8: 'strings',
  9: 'tensors',
  10: 'graphs',
}

export const DATA_LOCATION_EXTERNAL = 1

const originals = new WeakMap<TensorType, TypeProto>()

/**
 * Links a type to the message it was read from, which may hold more (denotations, sequences). Copies of the
 * type lose the link.
 */
export function rememberType(type: TensorType, proto: TypeProto): void {
  originals.set(type, proto)
}

/** Returns the message that a type was read from; undefined for types made by this project. */
export function originalType(type: TensorType): TypeProto | undefined {
  return originals.get(type)
}
