/** @file Reverse mode over ONNX graphs: from a loss back to its parameters, as nodes of the same graph. */

import { ServiceError } from '#errors'
import {
  allNames,
  createTape,
  type Graph,
  type Model,
  type Node,
  reads,
  removeUnused,
  runPass,
  sortNodes,
  type Tape,
} from '#onnx'
import { createFormulas } from './formulas.ts'
import { notDifferentiable } from './not-differentiable.ts'
import { pathToLoss } from './path-to-loss.ts'
import { inferShapes } from './shapes/infer-shapes.ts'
import type { Known } from './shapes/shape-rule.ts'
import { product } from './shapes/sizes.ts'
import { createPrimal } from './vjps/create-primal.ts'
import { SAVED_OUTPUTS, STOPS_GRADIENT, VJP_RULES } from './vjps/registry.ts'

export interface DifferentiateOptions {
  /** A float value of one element. */
  readonly loss: string
  /** Inputs or initializers of the graph. */
  readonly wrt: readonly string[]
}

export interface Differentiated {
  /** The model with gradient nodes after its own; the gradients are further outputs of its graph. */
  readonly model: Model
  /** By the name of what was asked for, the name of d loss / d of it, of the same type and shape: `w` has `w.gradient`. */
  readonly gradients: ReadonlyMap<string, string>
}

/**
 * Differentiates a model by reverse accumulation (Griewank & Walther, Evaluating Derivatives, 2008, ch. 3). What comes out is
 * standard ONNX of operator set 18 and newer, on which the model must be. Sizes may be symbols wherever a rule does not need
 * the number; an op that none of `wrt` flows through needs no rule. A value of `wrt` that the loss does not depend on is an
 * error: a parameter that cannot learn is a mistake in the graph.
 *
 * @throws ServiceError NOT_DIFFERENTIABLE for a missing rule (naming op, node and the path to the loss), a loss of more than one
 * element, or a parameter that does not reach it; GRAPH_PRECONDITION for unsound graphs.
 */
export function differentiate(model: Model, { loss, wrt }: DifferentiateOptions): Differentiated {
  const opset = model.opsetImports.get('') ?? 0
  if (opset < 18) {
    throw new ServiceError(
      'GRAPH_PRECONDITION',
      `differentiate: expected operator set 18 or newer, got ${opset}`,
    )
  }
  const sorted = runPass(sortNodes, model).model
  const forward = { ...sorted.graph, nodes: sorted.graph.nodes.map(saveOutputs) }
  const tape = createTape(allNames(forward))
  const known = inferShapes(forward)
  const cotangents = walkBack(tape, forward, known, loss, wrt)

  const gradients = new Map(wrt.map((name) => [name, `${name}.gradient`]))
  for (const [name, gradient] of gradients) {
    const cotangent = cotangents.get(name)
    if (cotangent === undefined) {
      throw notDifferentiable(`a loss that depends on "${name}"`, `"${loss}", which does not`)
    }
    tape.outputs([gradient], 'Identity', [cotangent])
  }
  const backward = tape.graph({ name: forward.name, outputs: [], initializers: forward.initializers })
  const graph: Graph = {
    ...forward,
    nodes: [...forward.nodes, ...backward.nodes],
    initializers: backward.initializers,
    outputs: [
      ...forward.outputs,
      ...Array.from(gradients, ([name, gradient]) => ({ name: gradient, type: known.get(name) })),
    ],
  }
  return { model: runPass(removeUnused, { ...sorted, graph }).model, gradients }
}

/** The cotangent of every value between `wrt` and the loss, by name; sums where a value is read more than once. */
function walkBack(
  tape: Tape,
  graph: Graph,
  known: ReadonlyMap<string, Known>,
  loss: string,
  wrt: readonly string[],
): ReadonlyMap<string, string> {
  const active = dependents(graph, wrt)
  const between = nodesBetween(graph, active, loss)
  const unruled = between.find((node) => ruleOf(node) === undefined)
  if (unruled) {
    const expected = 'a VJP rule for every op between the parameters and the loss'
    throw notDifferentiable(expected, pathToLoss(graph, unruled, loss))
  }

  const cotangents = new Map([[loss, seed(tape, loss, known.get(loss))]])
  for (const node of between) {
    const dYs = node.outputs.map((output) => cotangents.get(output) ?? null)
    const first = dYs.findIndex((dY) => dY !== null)
    if (first < 0) continue // a Cast to integers behind it
    const primal = createPrimal(node, known)
    const f = createFormulas(tape, primal.dataType(node.outputs[first]!))
    for (const [i, dX] of ruleOf(node)!(f, primal, dYs).entries()) {
      const input = node.inputs[i]!
      if (dX === null || !active.has(input)) continue
      const sum = cotangents.get(input)
      cotangents.set(input, sum === undefined ? dX : f.add(sum, dX))
    }
  }
  return cotangents
}

/** Values that depend on `wrt` in a way that a gradient can follow, `wrt` included. */
function dependents(graph: Graph, wrt: readonly string[]): ReadonlySet<string> {
  const active = new Set(wrt)
  for (const node of graph.nodes) {
    if (!stopsGradient(node) && readsAny(node, active)) for (const output of node.outputs) active.add(output)
  }
  return active
}

/** The nodes that carry `active` values to the loss, nearest to the loss first. */
function nodesBetween(graph: Graph, active: ReadonlySet<string>, loss: string): readonly Node[] {
  const needed = new Set([loss])
  return graph.nodes.toReversed().filter((node) => {
    const isBetween =
      !stopsGradient(node) && node.outputs.some((output) => needed.has(output)) && readsAny(node, active)
    if (isBetween) for (const name of reads(node)) needed.add(name)
    return isBetween
  })
}

const ruleOf = ({ domain, opType }: Node) => (domain === '' ? VJP_RULES[opType] : undefined)
const stopsGradient = ({ domain, opType }: Node) => domain === '' && STOPS_GRADIENT.has(opType)

/** Nested graphs count: a branch or a loop body that captures a value depends on it. */
function readsAny(node: Node, values: ReadonlySet<string>): boolean {
  return [...reads(node)].some((name) => values.has(name))
}

/** d loss / d loss. */
function seed(tape: Tape, loss: string, known: Known | undefined): string {
  if (known === undefined || product(known.shape) !== 1) {
    const shape = known ? `[${known.shape}]` : 'unknown shape'
    throw notDifferentiable('a loss of one element', `"${loss}" of ${shape}`)
  }
  const { dataType, shape } = known
  const f = createFormulas(tape, dataType)
  return shape.length === 0 ? f.constant(1) : f.expandTo(1, loss, shape)
}

/** Names for the optional outputs that the node's rule reads. */
function saveOutputs(node: Node): Node {
  const count = node.domain === '' ? SAVED_OUTPUTS[node.opType] : undefined
  if (count === undefined) return node
  const outputs = Array.from({ length: count }, (_, i) => node.outputs[i] || `${node.outputs[0]}.saved_${i}`)
  return { ...node, outputs }
}
