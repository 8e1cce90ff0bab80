/**
 * @file The ONNX IR: plain immutable objects that know no protobuf. Values are known by name, as in the format; a
 * change makes new objects, and tensors are shared between them, never copied.
 */

import type { Attribute } from './attributes.ts'
import type { StoredTensor } from './stored-tensor.ts'

/** Fields of the file that the IR does not model; written back as they were read. */
export type Extra = readonly unknown[]

export interface Model {
  readonly irVersion: number
  readonly producerName: string
  readonly producerVersion: string
  /** Domain ('' = ai.onnx) to version; model-wide. */
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
  /** What the exporter noted about values in between; hints only. */
  readonly valueInfo: readonly Value[]
  readonly extra?: Extra | undefined
}

export interface Node {
  readonly opType: string
  /** '' = ai.onnx. */
  readonly domain: string
  readonly name: string
  /** Names of values; '' = an optional input left out. */
  readonly inputs: readonly string[]
  /** Names of values; '' = an optional output not asked for. */
  readonly outputs: readonly string[]
  readonly attributes: ReadonlyMap<string, Attribute>
  readonly extra?: Extra | undefined
}

/** A named value at a border of a graph. */
export interface Value {
  readonly name: string
  readonly type: TensorType | undefined
  readonly extra?: Extra | undefined
}

/** A number, a symbol shared between values, or null = unknown. */
export type Dim = number | string | null

export interface TensorType {
  /** ONNX data type code; see `DATA_TYPES`. 0 for sequences, maps and optionals, which the IR only carries. */
  readonly dataType: number
  /** Missing = unknown rank. */
  readonly shape: readonly Dim[] | undefined
}
