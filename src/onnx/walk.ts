/** @file Producers, readers and names of values, read and rewritten across nested graphs. */

import { mapSubgraphs, subgraphs } from './attributes.ts'
import type { Attribute, Graph, Model, Node, StoredTensor, Value } from './model.ts'
import { byteLengthOf } from './stored-tensor.ts'

/** Maps the name of every value to the node that produces it, in this graph only. */
export function producers(graph: Graph): ReadonlyMap<string, Node> {
  const byOutput = new Map<string, Node>()
  for (const node of graph.nodes) for (const output of node.outputs) if (output) byOutput.set(output, node)
  return byOutput
}

/** Returns the nodes of this graph that read a value, directly or in a graph nested in them. */
export function uses(graph: Graph, name: string): readonly Node[] {
  return graph.nodes.filter((node) => reads(node).has(name))
}

/**
 * Returns the names that a node reads from its scope: its inputs, and the values that its nested graphs
 * capture.
 */
export function reads(node: Node): ReadonlySet<string> {
  const names = new Set(node.inputs.filter((input) => input !== ''))
  for (const nested of subgraphs(node)) for (const name of captured(nested)) names.add(name)
  return names
}

/** Returns the names that a nested graph reads from its enclosing scope. */
function captured(graph: Graph): ReadonlySet<string> {
  const own = definedNames(graph)
  const names = new Set<string>()
  for (const node of graph.nodes) for (const name of reads(node)) if (!own.has(name)) names.add(name)
  for (const { name } of graph.outputs) if (!own.has(name)) names.add(name)
  return names
}

/**
 * Returns the names that a graph defines (inputs, initializers, node outputs), nested graphs not included.
 */
export function definedNames(graph: Graph): ReadonlySet<string> {
  return new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.keys(),
    ...graph.nodes.flatMap((node) => node.outputs.filter((output) => output !== '')),
  ])
}

/** Returns the names of all values in a graph and in the graphs nested in it. */
export function allNames(graph: Graph): Set<string> {
  const names = new Set(definedNames(graph))
  for (const nested of graph.nodes.flatMap(subgraphs)) for (const name of allNames(nested)) names.add(name)
  return names
}

/** Returns the graph and every graph nested in it, outermost first. */
export function allGraphs(graph: Graph): Graph[] {
  return [graph, ...graph.nodes.flatMap(subgraphs).flatMap(allGraphs)]
}

/**
 * Renames values and nodes, nested graphs included (ONNX Runtime refuses two nodes of one name). `rename`
 * must map different names to different names; it is never called with '' (omitted, unnamed).
 */
export function renameAll(graph: Graph, rename: (name: string) => string): Graph {
  const to = (name: string) => (name === '' ? '' : rename(name))
  const renameValue = (value: Value): Value => ({ ...value, name: to(value.name) })
  return {
    ...graph,
    inputs: graph.inputs.map(renameValue),
    outputs: graph.outputs.map(renameValue),
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [to(name), tensor])),
    valueInfo: graph.valueInfo.map(renameValue),
    nodes: graph.nodes.map((node) => ({
      ...mapSubgraphs(node, (nested) => renameAll(nested, rename)),
      name: to(node.name),
      inputs: node.inputs.map(to),
      outputs: node.outputs.map(to),
    })),
  }
}

/**
 * Makes every node that reads `from` read `to` instead, nested graphs included. Outputs of the graph keep
 * their names, which are its contract. The node `except` keeps its input (the node that computes `to` from
 * `from`).
 */
export function replaceAllUsesWith(graph: Graph, from: string, to: string, except?: Node): Graph {
  const replace = (name: string) => (name === from ? to : name)
  const inNested = (nested: Graph): Graph => {
    if (definedNames(nested).has(from)) return nested
    return {
      ...replaceAllUsesWith(nested, from, to),
      outputs: nested.outputs.map((output) => ({ ...output, name: replace(output.name) })),
    }
  }
  const nodes = graph.nodes.map((node) => {
    if (node === except || !reads(node).has(from)) return node
    return { ...mapSubgraphs(node, inNested), inputs: node.inputs.map(replace) }
  })
  return { ...graph, nodes }
}

/**
 * Returns the distinct locations of external data, as written in the model, sorted. Opens and checks no file.
 */
export function externalDataLocations(model: Model): readonly string[] {
  return [...externalDataSizes(model).keys()].sort()
}

/**
 * Returns the least size in bytes that each file of external data must have, by location. Opens no file.
 * NaN where the offset or the length of a tensor is no size, or not that of its shape.
 */
export function externalDataSizes(model: Model): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>()
  const tensors = allGraphs(model.graph).flatMap((graph) => [
    ...graph.initializers.values(),
    ...graph.nodes.flatMap((node) => [...node.attributes.values()].flatMap(tensorsOf)),
  ])
  for (const { external, dataType, dims } of tensors) {
    const location = external?.get('location')
    if (location === undefined) continue
    const declared = external?.get('length')
    const length = byteLengthOf(dataType, dims) ?? Number(declared ?? 0)
    const offset = Number(external?.get('offset') ?? 0)
    const isRight = offset >= 0 && (declared === undefined || Number(declared) === length)
    const end = isRight ? offset + length : Number.NaN
    sizes.set(location, Math.max(sizes.get(location) ?? 0, end))
  }
  return sizes
}

/** Returns the model with the locations of all external data changed, in nested graphs too. */
export function relocateExternalData(model: Model, locate: (location: string) => string): Model {
  const inTensor = (tensor: StoredTensor): StoredTensor => {
    const location = tensor.external?.get('location')
    if (location === undefined) return tensor
    return { ...tensor, external: new Map([...tensor.external!, ['location', locate(location)]]) }
  }
  const inAttribute = (attribute: Attribute): Attribute => {
    if (attribute.type === 'tensor') return { ...attribute, value: inTensor(attribute.value) }
    return attribute.type === 'tensors' ? { ...attribute, value: attribute.value.map(inTensor) } : attribute
  }
  const inGraph = (graph: Graph): Graph => ({
    ...graph,
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [name, inTensor(tensor)])),
    nodes: graph.nodes.map((node) => {
      const { attributes, ...rest } = mapSubgraphs(node, inGraph)
      return {
        ...rest,
        attributes: new Map([...attributes].map(([name, attribute]) => [name, inAttribute(attribute)])),
      }
    }),
  })
  return { ...model, graph: inGraph(model.graph) }
}

function tensorsOf(attribute: Attribute): readonly StoredTensor[] {
  if (attribute.type === 'tensor') return [attribute.value]
  return attribute.type === 'tensors' ? attribute.value : []
}
