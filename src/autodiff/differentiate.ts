/** @file Reverse-mode differentiation of ONNX graphs: adds nodes that compute the gradients of a loss. */

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
import { createFormulas, notDifferentiable } from './formulas.ts'
import { inferShapes } from './shapes/infer-shapes.ts'
import type { Known } from './shapes/shape-rules.ts'
import { product } from './shapes/sizes.ts'
import { SAVED_OUTPUTS, STOPS_GRADIENT, VJP_RULES } from './vjps/registry.ts'
import { createPrimal } from './vjps/vjp-rule.ts'

/** Version of the ai.onnx operator set of trainable graphs and training steps: the first with Gelu. */
export const OPSET = 20

export interface DifferentiateOptions {
  /** A float value of one element. */
  readonly loss: string
  /** Inputs or initializers of the graph. */
  readonly wrt: readonly string[]
}

export interface Differentiated {
  /** The model with gradient nodes after its own; the gradients are further outputs of its graph. */
  readonly model: Model
  /**
   * Maps each name x of `wrt` to the name of d loss / dx (`x.gradient`), which has the type and shape of x.
   */
  readonly gradients: ReadonlyMap<string, string>
}

/**
 * Differentiates a model by reverse accumulation (Griewank & Walther, Evaluating Derivatives, 2008, ch. 3).
 * The model must be of operator set 18 or newer, and so is the result. Sizes may be symbols where a rule
 * does not need the number. An op needs a rule only if it lies between a value of `wrt` and the loss. A
 * value of `wrt` that the loss does not depend on is an error: a parameter that cannot learn is a mistake in
 * the graph.
 *
 * @throws ServiceError NOT_DIFFERENTIABLE for a missing rule (naming op, node and the path to the loss), a
 * loss of more than one element, or a parameter that the loss does not depend on; GRAPH_PRECONDITION for
 * invalid graphs.
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

/**
 * Returns the cotangent of every value between `wrt` and the loss, by name; summed where a value is read
 * more than once.
 */
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
    const [dY, ...others] = node.outputs.map((output) => cotangents.get(output))
    const primal = createPrimal(node, known)
    if (others.some((other) => other !== undefined)) {
      throw primal.refusal('a loss that reads its first output only', 'a loss that reads another output')
    }
    if (dY === undefined) continue // read only where no gradient passes, e.g. as an index
    const f = createFormulas(tape, primal.dataType(node.outputs[0]!))
    for (const [i, dX] of ruleOf(node)!(f, primal, dY).entries()) {
      const input = node.inputs[i]!
      if (dX === null || !active.has(input)) continue
      const sum = cotangents.get(input)
      cotangents.set(input, sum === undefined ? dX : f.add(sum, dX))
    }
  }
  return cotangents
}

/** Returns the values that depend on `wrt` through ops that pass gradients, `wrt` included. */
function dependents(graph: Graph, wrt: readonly string[]): ReadonlySet<string> {
  const active = new Set(wrt)
  for (const node of graph.nodes) {
    if (!stopsGradient(node) && readsAny(node, active)) for (const output of node.outputs) active.add(output)
  }
  return active
}

/** Returns the nodes that carry `active` values to the loss, nearest to the loss first. */
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

/** Includes values captured by nested graphs: a branch or a loop body depends on what it captures. */
function readsAny(node: Node, values: ReadonlySet<string>): boolean {
  return [...reads(node)].some((name) => values.has(name))
}

/** Emits d loss / d loss. */
function seed(tape: Tape, loss: string, known: Known | undefined): string {
  if (known === undefined || product(known.shape) !== 1) {
    const shape = known ? `[${known.shape}]` : 'unknown shape'
    throw notDifferentiable('a loss of one element', `"${loss}" of ${shape}`)
  }
  const { dataType, shape } = known
  const f = createFormulas(tape, dataType)
  return shape.length === 0 ? f.constant(1) : f.expandTo(1, loss, shape)
}

/** Names the optional outputs that the rule of the node reads. */
function saveOutputs(node: Node): Node {
  const count = node.domain === '' ? SAVED_OUTPUTS[node.opType] : undefined
  if (count === undefined) return node
  const outputs = Array.from({ length: count }, (_, i) => node.outputs[i] || `${node.outputs[0]}.saved_${i}`)
  return { ...node, outputs }
}

/**
 * Describes `from` and the shortest way from it to the loss: `TopK "k", which reaches the loss by TopK "k"
 * -> "loss"`.
 */
function pathToLoss(graph: Graph, from: Node, loss: string): string {
  const describe = ({ domain, opType, name, outputs }: Node) =>
    `${domain === '' ? '' : `${domain}.`}${opType} "${name || outputs[0]}"`
  const paths: Node[][] = [[from]]
  const seen = new Set([from])
  for (const path of paths) {
    const { outputs } = path.at(-1)!
    if (outputs.includes(loss)) {
      return `${describe(from)}, which reaches the loss by ${[...path.map(describe), `"${loss}"`].join(' -> ')}`
    }
    for (const node of graph.nodes) {
      if (seen.has(node) || !outputs.some((output) => output !== '' && reads(node).has(output))) continue
      seen.add(node)
      paths.push([...path, node])
    }
  }
  return describe(from)
}
