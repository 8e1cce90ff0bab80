/** @file Constructors and readers of node attributes, and access to the graphs nested in a node. */

import type { Tensor } from '#tensor'
import type { Attribute, Graph, Node } from './model.ts'
import { storeTensor } from './stored-tensor.ts'

export const float = (value: number): Attribute => ({ type: 'float', value })
export const int = (value: number | bigint): Attribute => ({ type: 'int', value: BigInt(value) })
export const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value: value.map(BigInt) })
export const string = (value: string): Attribute => ({
  type: 'string',
  value: new TextEncoder().encode(value),
})
export const tensor = (value: Tensor): Attribute => ({ type: 'tensor', value: storeTensor(value) })
export const graph = (value: Graph): Attribute => ({ type: 'graph', value })

/** Returns the value of an `int` attribute as a number, or `fallback` when the node does not have it. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name)
  return attribute?.type === 'int' ? Number(attribute.value) : fallback
}

/** Returns the value of a `float` attribute, or `fallback` when the node does not have it. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name)
  return attribute?.type === 'float' ? attribute.value : fallback
}

/** Returns the value of an `ints` attribute as numbers, or undefined when the node does not have it. */
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const attribute = node.attributes.get(name)
  return attribute?.type === 'ints' ? attribute.value.map(Number) : undefined
}

/** Returns the graphs nested in a node: branches of `If`, bodies of `Loop` and `Scan`. */
export function subgraphs(node: Node): readonly Graph[] {
  return [...node.attributes.values()].flatMap((attribute) =>
    attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [],
  )
}

/**
 * Returns the node with every nested graph replaced by `change(graph)`; the same object when it has no
 * nested graph.
 */
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
