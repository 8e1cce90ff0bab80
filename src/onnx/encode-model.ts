/** @file Encodes the IR as protobuf bytes. */

import { create, type MessageInitShape, toBinary, type UnknownField } from '@bufbuild/protobuf'
import type {
  Attribute,
  AttributeType,
  Extra,
  Graph,
  Model,
  Node,
  StoredTensor,
  TensorType,
  Value,
} from './model.ts'
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type TypeProto,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './proto/onnx_pb.js'
import { ATTRIBUTE_TYPES, DATA_LOCATION_EXTERNAL, originalType } from './proto-codes.ts'

const ATTRIBUTE_CODES = new Map<AttributeType, number>(
  Object.entries(ATTRIBUTE_TYPES).map(([code, type]) => [type, Number(code)]),
)

/**
 * Encodes a model; `decodeModel` of the result is equal to it. References to external data stay references.
 */
export function encodeModel(model: Model): Uint8Array {
  const proto = create(ModelProtoSchema, {
    irVersion: BigInt(model.irVersion),
    opsetImport: [...model.opsetImports].map(([domain, version]) => ({ domain, version: BigInt(version) })),
    graph: encodeGraph(model.graph),
    ...(model.producerName !== '' && { producerName: model.producerName }),
    ...(model.producerVersion !== '' && { producerVersion: model.producerVersion }),
  })
  return toBinary(ModelProtoSchema, withExtra(proto, model.extra))
}

function encodeGraph(graph: Graph): GraphProto {
  const proto = create(GraphProtoSchema, {
    name: graph.name,
    input: graph.inputs.map(encodeValue),
    output: graph.outputs.map(encodeValue),
    node: graph.nodes.map(encodeNode),
    initializer: [...graph.initializers].map(([name, tensor]) => encodeTensor(tensor, name)),
    valueInfo: graph.valueInfo.map(encodeValue),
  })
  return withExtra(proto, graph.extra)
}

function encodeNode(node: Node): NodeProto {
  const proto = create(NodeProtoSchema, {
    opType: node.opType,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: [...node.attributes].map(([name, attribute]) => encodeAttribute(name, attribute)),
    ...(node.name !== '' && { name: node.name }),
    ...(node.domain !== '' && { domain: node.domain }),
  })
  return withExtra(proto, node.extra)
}

function encodeAttribute(name: string, attribute: Attribute): AttributeProto {
  if (attribute.type === 'opaque') return attribute.value as AttributeProto
  const proto = create(AttributeProtoSchema, {
    name,
    type: ATTRIBUTE_CODES.get(attribute.type)!,
    ...attributeValue(attribute),
  })
  return withExtra(proto, attribute.extra)
}

function attributeValue(
  attribute: Exclude<Attribute, { type: 'opaque' }>,
): MessageInitShape<typeof AttributeProtoSchema> {
  switch (attribute.type) {
    case 'float':
      return { f: attribute.value }
    case 'int':
      return { i: attribute.value }
    case 'string':
      return { s: attribute.value }
    case 'tensor':
      return { t: encodeTensor(attribute.value) }
    case 'graph':
      return { g: encodeGraph(attribute.value) }
    case 'floats':
      return { floats: [...attribute.value] }
    case 'ints':
      return { ints: [...attribute.value] }
    case 'strings':
      return { strings: [...attribute.value] }
    case 'tensors':
      return { tensors: attribute.value.map((tensor) => encodeTensor(tensor)) }
    case 'graphs':
      return { graphs: attribute.value.map(encodeGraph) }
  }
}

function encodeTensor(tensor: StoredTensor, name?: string): TensorProto {
  const proto = create(TensorProtoSchema, {
    dataType: tensor.dataType,
    dims: tensor.dims.map(BigInt),
    ...(name !== undefined && { name }),
  })
  if (tensor.external) {
    proto.dataLocation = DATA_LOCATION_EXTERNAL
    proto.externalData = create(TensorProtoSchema, {
      externalData: [...tensor.external].map(([key, value]) => ({ key, value })),
    }).externalData
  } else if (tensor.bytes.length > 0) proto.rawData = tensor.bytes
  return withExtra(proto, tensor.extra)
}

function encodeValue(value: Value): ValueInfoProto {
  const proto = create(ValueInfoProtoSchema, {
    name: value.name,
    ...(value.type && { type: originalType(value.type) ?? encodeType(value.type) }),
  })
  return withExtra(proto, value.extra)
}

function encodeType({ dataType, shape }: TensorType): TypeProto {
  return create(TypeProtoSchema, {
    tensorType: {
      elemType: dataType,
      ...(shape && {
        shape: {
          dim: shape.map((dim) => {
            if (dim === null) return {}
            return typeof dim === 'number'
              ? { value: { case: 'dimValue' as const, value: BigInt(dim) } }
              : { value: { case: 'dimParam' as const, value: dim } }
          }),
        },
      }),
    },
  })
}

function withExtra<M extends { $unknown?: UnknownField[] | undefined }>(
  proto: M,
  extra: Extra | undefined,
): M {
  if (extra) proto.$unknown = extra as UnknownField[]
  return proto
}
