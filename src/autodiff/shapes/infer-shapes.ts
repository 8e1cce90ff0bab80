/** @file Shape inference: types and shapes of all values of a graph before it runs. */

import { DATA_TYPES, type Graph, loadTensor, type Node, type StoredTensor, type Value } from '#onnx'
import { type Known, SHAPE_RULES } from './shape-rules.ts'
import type { Size } from './sizes.ts'

/**
 * Returns element types and shapes of the values of `graph` by name; its nodes must be in topological order.
 * Symbols of the inputs are carried; a size that is known only during the run gets a symbol of its own, so
 * equal symbols are equal sizes. Outputs of ops without a rule are known when `valueInfo` or the graph's
 * outputs hold their types; otherwise they are missing from the result.
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

/** Reads the elements of int64 scalars and vectors only: they are the ones that rules need. */
function knownTensor(stored: StoredTensor): Known {
  const { dataType, dims, external } = stored
  const isVector = dataType === DATA_TYPES.int64 && dims.length <= 1 && !external
  const entries = isVector ? Array.from(loadTensor(stored).data as BigInt64Array, Number) : undefined
  return { dataType, shape: dims, entries }
}
