/** @file Attributes of nodes, told apart by type, and short constructors for them. */

import type { Tensor } from '#tensor'
import type { Extra, Graph, Node } from './model.ts'
import { type StoredTensor, storeTensor } from './stored-tensor.ts'

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
  /** Sparse tensors, types, references inside functions: carried, not understood. */
  | { readonly type: 'opaque'; readonly value: unknown }
)

export type AttributeType = Attribute['type']

export const float = (value: number): Attribute => ({ type: 'float', value })
export const int = (value: number | bigint): Attribute => ({ type: 'int', value: BigInt(value) })
export const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value: value.map(BigInt) })
export const string = (value: string): Attribute => ({
  type: 'string',
  value: new TextEncoder().encode(value),
})
export const tensor = (value: Tensor): Attribute => ({ type: 'tensor', value: storeTensor(value) })
export const graph = (value: Graph): Attribute => ({ type: 'graph', value })

/** The value of an `int` attribute as a number; `fallback` when the node has none. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name)
  return attribute?.type === 'int' ? Number(attribute.value) : fallback
}

/** The value of a `float` attribute; `fallback` when the node has none. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name)
  return attribute?.type === 'float' ? attribute.value : fallback
}

/** The value of an `ints` attribute as numbers; undefined when the node has none. */
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const attribute = node.attributes.get(name)
  return attribute?.type === 'ints' ? attribute.value.map(Number) : undefined
}

/** The graphs nested in a node: branches of `If`, bodies of `Loop` and `Scan`. */
export function subgraphs(node: Node): readonly Graph[] {
  return [...node.attributes.values()].flatMap((attribute) =>
    attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [],
  )
}

/** The node with every nested graph replaced by `change(graph)`; itself when it has none. */
export function mapSubgraphs(node: Node, change: (graph: Graph) => Graph): Node {
  if (subgraphs(node).length === 0) return node
  const attributes = new Map<string, Attribute>()
  for (const [name, attribute] of node.attributes) {
    if (attribute.type === 'graph') attributes.set(name, { ...attribute, value: change(attribute.value) })
    else if (attribute.type === 'graphs') {
      attributes.set(name, { ...attribute, value: attribute.value.map(change) })
    } else attributes.set(name, attribute)
  }
  return { ...node, attributes }
}
