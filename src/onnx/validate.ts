/** @file The rules of scope that every graph must keep. */

import { subgraphs } from './attributes.ts'
import type { Graph, Model } from './model.ts'

/**
 * What is wrong with a model's names, in words: a value defined twice or hiding one of an outer graph, a node or an
 * output reading what nothing defines. Order is not checked (see `sortNodes`). Empty = sound.
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
  // Up to IR version 3 initializers were listed among the inputs; since then that makes them defaults.
  const inputs = new Set(graph.inputs.map(({ name }) => name))
  for (const name of graph.initializers.keys()) if (!inputs.has(name)) define(name, 'an initializer')
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output) define(output, `${node.opType} "${node.name}"`)
  }

  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      if (input && !scope.has(input)) {
        faults.push(`${node.opType} "${node.name}" reads "${input}", which nothing defines`)
      }
    }
    for (const nested of subgraphs(node)) faults.push(...graphFaults(nested, scope))
  }
  for (const { name } of graph.outputs) {
    if (!scope.has(name)) faults.push(`graph "${graph.name}" returns "${name}", which nothing defines`)
  }
  return faults
}
