/** @file Decodes protobuf bytes into the IR. */

import { fromBinary, type Message } from '@bufbuild/protobuf'
import { coerceError, ServiceError } from '#errors'
import { elementCount } from '#tensor'
import { bitsOf, dataTypeName } from './data-type.ts'
import type { Attribute, Extra, Graph, Model, Node, StoredTensor, TensorType, Value } from './model.ts'
import {
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './proto/onnx_pb.js'
import { ATTRIBUTE_TYPES, DATA_LOCATION_EXTERNAL, rememberType } from './proto-codes.ts'
import { byteLengthOf } from './stored-tensor.ts'
import { modelFaults } from './validate.ts'

/**
 * Reads a model. Weights are views into `bytes`, which must not change afterwards. References to external
 * data stay references (`externalDataLocations` lists them). Fields that the IR does not model are carried
 * along.
 *
 * @throws ServiceError ONNX_INVALID when the bytes are not an ONNX model.
 */
export function decodeModel(bytes: Uint8Array): Model {
  let proto: ModelProto
  try {
    proto = fromBinary(ModelProtoSchema, bytes)
  } catch (thrown) {
    const cause = coerceError(thrown)
    throw invalid(
      `expected an ONNX protobuf, got ${bytes.length} bytes of another format (${cause.message})`,
      cause,
    )
  }
  if (!proto.graph || proto.opsetImport.length === 0) {
    const missing = proto.graph ? 'opset imports' : 'graph'
    throw invalid(`expected a model with a graph and opset imports, got one without ${missing}`)
  }
  const model: Model = {
    irVersion: Number(proto.irVersion),
    producerName: proto.producerName,
    producerVersion: proto.producerVersion,
    opsetImports: new Map(
      proto.opsetImport.map(({ domain, version }) => [domain === 'ai.onnx' ? '' : domain, Number(version)]),
    ),
    graph: decodeGraph(proto.graph),
    ...extraOf(proto),
  }
  const fault = modelFaults(model)[0]
  if (fault) throw invalid(`expected a valid graph, got one in which ${fault}`)
  return model
}

function decodeGraph(proto: GraphProto): Graph {
  const initializers = new Map<string, StoredTensor>()
  for (const tensor of proto.initializer) {
    if (initializers.has(tensor.name)) throw invalid(`expected one initializer ${tensor.name}, got two`)
    initializers.set(tensor.name, decodeTensor(tensor))
  }
  return {
    name: proto.name,
    inputs: proto.input.map(decodeValue),
    outputs: proto.output.map(decodeValue),
    nodes: proto.node.map(decodeNode),
    initializers,
    valueInfo: proto.valueInfo.map(decodeValue),
    ...extraOf(proto),
  }
}

function decodeNode(proto: NodeProto): Node {
  if (proto.opType === '') throw invalid(`expected an op type on node "${proto.name}", got none`)
  return {
    opType: proto.opType,
    domain: proto.domain === 'ai.onnx' ? '' : proto.domain,
    name: proto.name,
    inputs: proto.input,
    outputs: proto.output,
    attributes: new Map(proto.attribute.map((attribute) => [attribute.name, decodeAttribute(attribute)])),
    ...extraOf(proto),
  }
}

function decodeAttribute(proto: AttributeProto): Attribute {
  if (proto.refAttrName !== '') return { type: 'opaque', value: proto }
  const extra = extraOf(proto)
  switch (ATTRIBUTE_TYPES[proto.type]) {
    case 'float':
      return { type: 'float', value: proto.f, ...extra }
    case 'int':
      return { type: 'int', value: proto.i, ...extra }
    case 'string':
      return { type: 'string', value: proto.s, ...extra }
    case 'tensor':
      if (!proto.t) throw invalid(`expected a tensor in attribute ${proto.name}, got none`)
      return { type: 'tensor', value: decodeTensor(proto.t), ...extra }
    case 'graph':
      if (!proto.g) throw invalid(`expected a graph in attribute ${proto.name}, got none`)
      return { type: 'graph', value: decodeGraph(proto.g), ...extra }
    case 'floats':
      return { type: 'floats', value: proto.floats, ...extra }
    case 'ints':
      return { type: 'ints', value: proto.ints, ...extra }
    case 'strings':
      return { type: 'strings', value: proto.strings, ...extra }
    case 'tensors':
      return { type: 'tensors', value: proto.tensors.map(decodeTensor), ...extra }
    case 'graphs':
      return { type: 'graphs', value: proto.graphs.map(decodeGraph), ...extra }
    default:
      return { type: 'opaque', value: proto }
  }
}

function decodeValue(proto: ValueInfoProto): Value {
  const tensor = proto.type?.tensorType
  if (!proto.type) return { name: proto.name, type: undefined, ...extraOf(proto) }
  const type: TensorType = {
    dataType: tensor?.elemType ?? 0,
    shape: tensor?.shape?.dim.map(({ value }) =>
      value.case === 'dimValue' ? Number(value.value) : value.case === 'dimParam' ? value.value : null,
    ),
  }
  rememberType(type, proto.type)
  return { name: proto.name, type, ...extraOf(proto) }
}

function decodeTensor(proto: TensorProto): StoredTensor {
  const dims = proto.dims.map(Number)
  const label = `initializer "${proto.name}"`
  if (dims.some((dim) => dim < 0)) throw invalid(`expected dims >= 0 in ${label}, got [${dims}]`)
  const common = { dataType: proto.dataType, dims, ...extraOf(proto) }
  if (proto.dataLocation === DATA_LOCATION_EXTERNAL) {
    const external = new Map(proto.externalData.map(({ key, value }) => [key, value]))
    if (!external.get('location')) throw invalid(`expected a location of external data in ${label}, got none`)
    return { ...common, bytes: new Uint8Array(), external }
  }
  const bytes = proto.rawData.length > 0 ? proto.rawData : typedBytes(proto)
  const expected = byteLengthOf(proto.dataType, dims)
  if (expected !== undefined && bytes.length !== expected) {
    throw invalid(
      `expected ${expected} bytes of ${dataTypeName(proto.dataType)} [${dims}] in ${label}, got ${bytes.length}`,
    )
  }
  return { ...common, bytes, external: undefined }
}

/**
 * Converts the typed lists (`float_data`, `int32_data`, ...), the alternative to `raw_data`, into the bytes
 * of `raw_data`.
 */
function typedBytes(proto: TensorProto): Uint8Array {
  if (elementCount(proto.dims.map(Number)) === 0) return new Uint8Array()
  if (proto.floatData.length > 0) return bytesOf(Float32Array.from(proto.floatData))
  if (proto.doubleData.length > 0) return bytesOf(Float64Array.from(proto.doubleData))
  if (proto.int64Data.length > 0) return bytesOf(BigInt64Array.from(proto.int64Data))
  if (proto.uint64Data.length > 0) {
    const wide = BigUint64Array.from(proto.uint64Data)
    return bitsOf(proto.dataType) === 32 ? bytesOf(Uint32Array.from(wide, Number)) : bytesOf(wide)
  }
  // int32_data holds every narrow type, one element (or one packed byte of 4-bit elements) per entry.
  const bits = bitsOf(proto.dataType)
  if (bits === 32) return bytesOf(Int32Array.from(proto.int32Data))
  return bytesOf(bits === 16 ? Uint16Array.from(proto.int32Data) : Uint8Array.from(proto.int32Data))
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

function extraOf(message: Message): { extra?: Extra } {
  return message.$unknown ? { extra: message.$unknown } : {}
}

function invalid(detail: string, cause?: Error): ServiceError {
  return new ServiceError('ONNX_INVALID', `decode model: ${detail}`, cause && { cause })
}
