/** @file Pass that removes dead nodes and weights. */

import { mapSubgraphs } from '../attributes.ts'
import type { Graph, Node } from '../model.ts'
import type { Pass } from '../pass.ts'
import { allGraphs, definedNames, producers, reads } from '../walk.ts'

/**
 * Drops nodes and initializers that no output depends on, and the `valueInfo` of dropped values. Inputs
 * stay: they are the graph's contract. Idempotent.
 */
export const removeUnused: Pass = {
  name: 'remove unused',
  apply(model) {
    const graph = prune(model.graph)
    return size(graph) === size(model.graph) ? model : { ...model, graph }
  },
  ensures: (after) =>
    size(prune(after.graph)) === size(after.graph) ? null : 'expected only used nodes, got others',
}

function prune(graph: Graph): Graph {
  const byOutput = producers(graph)
  const live = new Set<string>()
  const kept = new Set<Node>()
  const queue = graph.outputs.map(({ name }) => name)
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (live.has(name)) continue
    live.add(name)
    const node = byOutput.get(name)
    if (!node || kept.has(node)) continue
    kept.add(node)
    queue.push(...reads(mapSubgraphs(node, prune)))
  }
  const pruned: Graph = {
    ...graph,
    nodes: graph.nodes.filter((node) => kept.has(node)).map((node) => mapSubgraphs(node, prune)),
    initializers: new Map([...graph.initializers].filter(([name]) => live.has(name))),
  }
  const known = definedNames(pruned)
  return { ...pruned, valueInfo: graph.valueInfo.filter(({ name }) => known.has(name)) }
}

/**
 * Counts the nodes, initializers and `valueInfo` entries, nested graphs included: everything that pruning
 * can remove.
 */
function size(graph: Graph): number {
  return allGraphs(graph).reduce(
    (sum, { nodes, initializers, valueInfo }) => sum + nodes.length + initializers.size + valueInfo.length,
    0,
  )
}
