/** @file Shape inference: what is known of every value of a graph before it runs. */

import type { Graph, Node, Value } from '#onnx'
import { knownTensor } from './constants.ts'
import { SHAPE_RULES } from './registry.ts'
import type { Known } from './shape-rule.ts'
import type { Size } from './sizes.ts'

/**
 * Element types, shapes and shape-like contents of the values of `graph` by name, its nodes in topological order. Symbols of
 * the inputs are carried; a size that nothing tells is a symbol of its own, so equal symbols are equal sizes. Values after an
 * op without a rule are known as far as the graph itself notes their types; else they are missing here.
 */
export function inferShapes(graph: Graph): ReadonlyMap<string, Known> {
  let unknowns = 0
  const fresh = (): Size => `?${unknowns++}`
  const noted = new Map([...graph.valueInfo, ...graph.outputs].map((value) => [value.name, value]))
  const known = new Map<string, Known>()
  const learn = (name: string, found: Known | undefined) => {
    if (name !== '' && found) known.set(name, found)
  }

  for (const input of graph.inputs) learn(input.name, knownValue(input, fresh))
  for (const [name, stored] of graph.initializers) learn(name, knownTensor(stored))
  for (const node of graph.nodes) {
    const found = applyRule(node, known, fresh)
    for (const [i, output] of node.outputs.entries()) {
      learn(output, found?.[i] ?? knownValue(noted.get(output), fresh))
    }
  }
  return known
}

function applyRule(
  node: Node,
  known: ReadonlyMap<string, Known>,
  fresh: () => Size,
): readonly Known[] | null {
  const rule = node.domain === '' ? SHAPE_RULES[node.opType] : undefined
  if (!rule || node.inputs.some((input) => input !== '' && !known.has(input))) return null
  return rule({ node, inputs: node.inputs.map((input) => known.get(input)), fresh })
}

function knownValue(value: Value | undefined, fresh: () => Size): Known | undefined {
  const type = value?.type
  return type?.shape && { dataType: type.dataType, shape: type.shape.map((dim) => dim ?? fresh()) }
}
