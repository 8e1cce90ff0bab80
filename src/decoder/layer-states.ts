/** @file Finds the residual stream of a decoder: the states that its layers read. */

import { type Graph, type Node, producers, reads } from '#onnx'

/** One value that is computed from others: the part of a graph in which numbers of the tokens flow. */
interface Step {
  readonly inputs: readonly string[]
  readonly output: string
}

/**
 * Names the input of every layer and the states that the LM head reads: L + 1 values `[B, S, D]`, those that Hugging Face
 * returns as `hidden_states`.
 *
 * Found by structure alone: what all ways from the tokens to the head lead through is the residual stream, since attention
 * and feed-forward are by-passed by it. The input of layer i is the last such value on the way to that layer's keys.
 *
 * @param graph in topological order.
 * @param presentKeys output of each layer's keys, in order.
 * @returns null where layers cannot be told apart so: some way leads past every one of them, as with embeddings of their own.
 */
export function findLayerStates(
  graph: Graph,
  { inputIds, hidden, presentKeys }: { inputIds: string; hidden: string; presentKeys: readonly string[] },
): readonly string[] | null {
  const flow = flowFrom(graph, inputIds)
  const stream = passedByAll(flow, inputIds, hidden)
  const place = new Map(stream.map((name, index) => [name, index]))
  // For every value, the last of the stream before it.
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

/** Every value that the numbers of `source` flow into. */
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

/** What a node reads the numbers of, and not just the shape or the type. */
function numbersOf(node: Node): readonly string[] {
  if (node.opType === 'Shape' || node.opType === 'Size') return []
  if (node.opType === 'CastLike') return node.inputs.slice(0, 1)
  return [...reads(node)]
}

function stepsOf({ opType, outputs }: Node, inputs: readonly string[]): Step[] {
  // SkipLayerNormalization and SkipSimplifiedLayerNormalization (com.microsoft) add, then normalise; the sum is the fourth
  // output where it is used again.
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

/** The values that every way from `source` to `target` leads through, both included, in order. */
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
    // Nothing from before is used after this value: there is no way around it.
    if (furthest <= index) passed.push(name)
    furthest = Math.max(furthest, lastUse.get(name) ?? index)
  }
  return passed.at(-1) === target ? passed : []
}
