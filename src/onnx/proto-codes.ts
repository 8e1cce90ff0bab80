/** @file Numbers of the format that both directions need, and the memory of types that the IR cannot spell in full. */

import type { AttributeType } from './attributes.ts'
import type { TensorType } from './model.ts'
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

/** Ties a type to the message it was read from, which may say more (denotations, sequences); a copy forgets it. */
export function rememberType(type: TensorType, proto: TypeProto): void {
  originals.set(type, proto)
}

export function originalType(type: TensorType): TypeProto | undefined {
  return originals.get(type)
}
