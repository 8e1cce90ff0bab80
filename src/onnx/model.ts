/**
 * @file The intermediate representation (IR) of ONNX models: plain immutable objects, independent of
 * protobuf. Values are referred to by name, as in the format. A change makes new objects, which share their
 * tensors and never copy them.
 */

/** Fields of the file that the IR does not model; written back as they were read. */
export type Extra = readonly unknown[]

export interface Model {
  readonly irVersion: number
  readonly producerName: string
  readonly producerVersion: string
  /** Operator set version by domain ('' = ai.onnx), for the whole model. */
  readonly opsetImports: ReadonlyMap<string, number>
  readonly graph: Graph
  readonly extra?: Extra | undefined
}

export interface Graph {
  readonly name: string
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  readonly nodes: readonly Node[]
  readonly initializers: ReadonlyMap<string, StoredTensor>
  /** Types of intermediate values as noted by the exporter; hints only. */
  readonly valueInfo: readonly Value[]
  readonly extra?: Extra | undefined
}

export interface Node {
  readonly opType: string
  /** '' = ai.onnx. */
  readonly domain: string
  readonly name: string
  /** Names of values; '' = an omitted optional input. */
  readonly inputs: readonly string[]
  /** Names of values; '' = an optional output that is not requested. */
  readonly outputs: readonly string[]
  readonly attributes: ReadonlyMap<string, Attribute>
  readonly extra?: Extra | undefined
}

/** A named value with its type: an input or output of a graph, or an entry of `valueInfo`. */
export interface Value {
  readonly name: string
  readonly type: TensorType | undefined
  readonly extra?: Extra | undefined
}

/** A number, a symbol shared between values, or null = unknown. */
export type Dim = number | string | null

export interface TensorType {
  /**
   * ONNX data type code; see `DATA_TYPES`. 0 for sequences, maps and optionals, which the IR carries without
   * reading them.
   */
  readonly dataType: number
  /** Undefined = unknown rank. */
  readonly shape: readonly Dim[] | undefined
}

/** A tensor as a model stores it: little-endian bytes, or a reference into a file of external data. */
export interface StoredTensor {
  readonly dataType: number
  readonly dims: readonly number[]
  /**
   * Little-endian elements; empty when the data is external or the elements are strings (those stay in
   * `extra`).
   */
  readonly bytes: Uint8Array
  /**
   * The format's key-value pairs (`location`, `offset`, `length`, ...), unchanged; undefined for inline data.
   */
  readonly external: ReadonlyMap<string, string> | undefined
  readonly extra?: Extra | undefined
}

export type Attribute = { readonly extra?: Extra | undefined } & (
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: bigint }
  /** Bytes: the format does not promise UTF-8. */
  | { readonly type: 'string'; readonly value: Uint8Array }
  | { readonly type: 'tensor'; readonly value: StoredTensor }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly bigint[] }
  | { readonly type: 'strings'; readonly value: readonly Uint8Array[] }
  | { readonly type: 'tensors'; readonly value: readonly StoredTensor[] }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] }
  /** Sparse tensors, types, attribute references inside functions: carried without being read. */
  | { readonly type: 'opaque'; readonly value: unknown }
)

export type AttributeType = Attribute['type']
