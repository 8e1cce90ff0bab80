/** @file Scope rules of the names in a graph. */

import { subgraphs } from './attributes.ts'
import type { Graph, Model } from './model.ts'

/**
 * Describes every fault in a model's names: a value defined twice or hiding a value of an outer graph, a
 * node or a graph output that reads an undefined value. The order of nodes is not checked (see `sortNodes`).
 * Empty = valid.
 */
export function modelFaults(model: Model): string[] {
  return graphFaults(model.graph, new Set())
}

function graphFaults(graph: Graph, outer: ReadonlySet<string>): string[] {
  const faults: string[] = []
  const scope = new Set(outer)
  const define = (name: string, by: string) => {
    if (scope.has(name)) faults.push(`${by} defines "${name}", which is already defined`)
    scope.add(name)
  }
  for (const { name } of graph.inputs) define(name, `graph "${graph.name}"`)
  // Up to IR version 3, initializers are also listed among the inputs; from version 4 on, that makes them
  // defaults.
  const inputs = new Set(graph.inputs.map(({ name }) => name))
  for (const name of graph.initializers.keys()) if (!inputs.has(name)) define(name, 'an initializer')
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output) define(output, `${node.opType} "${node.name}"`)
  }

  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (input && !scope.has(input)) {
        faults.push(`${node.opType} "${node.name}" reads "${input}", which is not defined`)
      }
    }
    // The branches of an If may name their results as the If does (merged decoders): they cannot read its own.
    const own = new Set(node.outputs)
    const visible = subgraphs(node).length > 0 ? new Set([...scope].filter((name) => !own.has(name))) : scope
    for (const nested of subgraphs(node)) faults.push(...graphFaults(nested, visible))
  }
  for (const { name } of graph.outputs) {
    if (!scope.has(name)) faults.push(`graph "${graph.name}" returns "${name}", which is not defined`)
  }
  return faults
}
