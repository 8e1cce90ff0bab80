/** @file Pass that moves the weights of nested graphs to the outermost graph. */

import { mapSubgraphs, subgraphs } from '../attributes.ts'
import type { Graph, StoredTensor } from '../model.ts'
import type { Pass } from '../pass.ts'
import { allGraphs } from '../walk.ts'

/**
 * Moves the initializers of nested graphs to the outermost graph, where branches and iterations share them
 * and ONNX Runtime finds external data. Initializers that are outputs of their nested graph stay: a graph
 * may not return a value of an outer graph. Tensors are shared, not copied. Idempotent.
 */
export const hoistInitializers: Pass = {
  name: 'hoist initializers',
  requires(model) {
    const names = allGraphs(model.graph).flatMap(({ initializers }) => [...initializers.keys()])
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    return twice === undefined ? null : `expected initializers of different names, got two values "${twice}"`
  },
  apply(model) {
    const hoisted = new Map(model.graph.initializers)
    const nodes = model.graph.nodes.map((node) => mapSubgraphs(node, (nested) => take(nested, hoisted)))
    if (hoisted.size === model.graph.initializers.size) return model
    return { ...model, graph: { ...model.graph, nodes, initializers: hoisted } }
  },
  ensures(after) {
    const nested = after.graph.nodes.flatMap(subgraphs).flatMap(allGraphs)
    const left = nested.find((graph) => [...graph.initializers.keys()].some((name) => !returns(graph, name)))
    return left ? `expected no initializers in nested graphs, got some in "${left.name}"` : null
  },
}

function take(graph: Graph, into: Map<string, StoredTensor>): Graph {
  for (const [name, tensor] of graph.initializers) if (!returns(graph, name)) into.set(name, tensor)
  return {
    ...graph,
    initializers: new Map([...graph.initializers].filter(([name]) => returns(graph, name))),
    nodes: graph.nodes.map((node) => mapSubgraphs(node, (nested) => take(nested, into))),
  }
}

function returns(graph: Graph, name: string): boolean {
  return graph.outputs.some((output) => output.name === name)
}
