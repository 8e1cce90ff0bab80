/** @file Finds the residual stream of a decoder: the states that its layers read. */

import { type Graph, type Node, producers, reads } from '#onnx'

/** One value and the values it is computed from, in the part of the graph that depends on the tokens. */
interface Step {
  readonly inputs: readonly string[]
  readonly output: string
}

/**
 * Returns the names of the input of every layer and of the states that the LM head reads: L + 1 values `[B,
 * S, D]`, the `hidden_states` of Hugging Face.
 *
 * Found by structure alone: the values on every path from the tokens to the head form the residual stream,
 * because it bypasses attention and feed-forward. The input of layer i is the last of these values on the
 * path to the layer's keys.
 *
 * @param graph in topological order.
 * @param presentKeys output of each layer's keys, in order.
 * @returns null when some path leads around every layer, for example when layers have embeddings of their
 * own.
 */
export function findLayerStates(
  graph: Graph,
  { inputIds, hidden, presentKeys }: { inputIds: string; hidden: string; presentKeys: readonly string[] },
): readonly string[] | null {
  const flow = flowFrom(graph, inputIds)
  const stream = passedByAll(flow, inputIds, hidden)
  const place = new Map(stream.map((name, index) => [name, index]))
  // Index of the last stream value before each value.
  const latest = new Map([[inputIds, 0]])
  for (const { inputs, output } of flow) {
    latest.set(output, place.get(output) ?? Math.max(...inputs.map((input) => latest.get(input)!)))
  }
  const places = [...presentKeys.map((key) => latest.get(key) ?? 0), stream.length - 1]
  const isOrdered = places.every((index, layer) => index > (places[layer - 1] ?? 0))
  const computed = producers(graph)
  const states = places.map((index) => stream[index]!)
  return isOrdered && states.every((state) => computed.has(state)) ? states : null
}

/** Returns the steps of all values that depend on the numbers of `source`. */
function flowFrom(graph: Graph, source: string): Step[] {
  const reached = new Set([source])
  const flow: Step[] = []
  for (const node of graph.nodes) {
    const inputs = numbersOf(node).filter((name) => reached.has(name))
    if (inputs.length === 0) continue
    for (const step of stepsOf(node, inputs)) {
      flow.push(step)
      reached.add(step.output)
    }
  }
  return flow
}

/** Returns the inputs whose numbers a node reads, as opposed to their shape or type. */
function numbersOf(node: Node): readonly string[] {
  if (node.opType === 'Shape' || node.opType === 'Size') return []
  if (node.opType === 'CastLike') return node.inputs.slice(0, 1)
  return [...reads(node)]
}

function stepsOf({ opType, outputs }: Node, inputs: readonly string[]): Step[] {
  // SkipLayerNormalization and SkipSimplifiedLayerNormalization (com.microsoft) add, then normalise. The sum
  // is the fourth output, present only if it is used again.
  if (opType.startsWith('Skip') && opType.endsWith('LayerNormalization')) {
    const [normed] = outputs
    const sum = outputs[3] || `sum of ${normed}`
    return [
      { inputs, output: sum },
      { inputs: [sum], output: normed! },
    ]
  }
  return outputs.filter((output) => output !== '').map((output) => ({ inputs, output }))
}

/** Returns the values on every path from `source` to `target`, both included, in order. */
function passedByAll(flow: readonly Step[], source: string, target: string): string[] {
  const wanted = new Set([target])
  for (const { inputs, output } of flow.toReversed()) {
    if (wanted.has(output)) for (const input of inputs) wanted.add(input)
  }
  const steps = flow.filter(({ output }) => wanted.has(output))
  const lastUse = new Map<string, number>()
  for (const [index, { inputs }] of steps.entries()) for (const input of inputs) lastUse.set(input, index + 1)
  const passed: string[] = []
  let furthest = 0
  for (const [index, name] of [source, ...steps.map(({ output }) => output)].entries()) {
    // No earlier value is used after this one: there is no path around it.
    if (furthest <= index) passed.push(name)
    furthest = Math.max(furthest, lastUse.get(name) ?? index)
  }
  return passed.at(-1) === target ? passed : []
}
