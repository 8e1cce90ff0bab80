/** @file Pass that sorts nodes topologically, nested graphs included. */

import { ServiceError } from '#errors'
import { mapSubgraphs, subgraphs } from '../attributes.ts'
import type { Graph, Model, Node } from '../model.ts'
import type { Pass } from '../pass.ts'
import { allGraphs, producers, reads } from '../walk.ts'

/**
 * Puts every node after the nodes whose outputs it reads. Stable: nodes already in order keep their places.
 * @throws ServiceError GRAPH_PRECONDITION when the graph has a cycle.
 */
export const sortNodes: Pass = {
  name: 'sort nodes',
  apply: (model) => (isSorted(model) ? model : { ...model, graph: sortGraph(model.graph) }),
  ensures: (after) => (isSorted(after) ? null : 'expected nodes in topological order, got others'),
}

function isSorted(model: Model): boolean {
  return allGraphs(model.graph).every((graph) => {
    const later = new Set(graph.nodes.flatMap((node) => node.outputs))
    return graph.nodes.every((node) => {
      const ready = [...reads(node)].every((name) => !later.has(name))
      for (const output of node.outputs) later.delete(output)
      return ready
    })
  })
}

function sortGraph(graph: Graph): Graph {
  const byOutput = producers(graph)
  const sorted: Node[] = []
  const done = new Set<Node>()
  for (const root of graph.nodes) {
    // Depth first with an explicit stack: a long chain would overflow the call stack.
    const path = new Set<Node>()
    const stack = [root]
    while (stack.length > 0) {
      const node = stack.at(-1)!
      const waiting = done.has(node) ? [] : sources(node, byOutput).filter((source) => !done.has(source))
      if (waiting.length === 0) {
        stack.pop()
        path.delete(node)
        if (!done.has(node)) sorted.push(node)
        done.add(node)
        continue
      }
      path.add(node)
      const circular = waiting.find((source) => path.has(source))
      if (circular) {
        throw new ServiceError(
          'GRAPH_PRECONDITION',
          `sort nodes: expected an acyclic graph, got a cycle through ${circular.opType} "${circular.name}"`,
        )
      }
      stack.push(...waiting.reverse())
    }
  }
  return {
    ...graph,
    nodes: sorted.map((node) => (subgraphs(node).length > 0 ? mapSubgraphs(node, sortGraph) : node)),
  }
}

function sources(node: Node, byOutput: ReadonlyMap<string, Node>): Node[] {
  return [...reads(node)].map((name) => byOutput.get(name)).filter((source) => source !== undefined)
}
