/**
 * @file Parts of graphs over the LM head: its weights and logits, the gradient back to the latents, the
 * model around them.
 */

import {
  createModel,
  DATA_TYPES,
  type Graph,
  hoistInitializers,
  int,
  type Model,
  removeUnused,
  runPasses,
  type StoredTensor,
  sortNodes,
  type Tape,
} from '#onnx'
import { float32 } from '#tensor'
import { constantsOf, type DenseProjection, type LmHead } from './lm-head.ts'
import { emitMatMulNBits } from './quantized-weight.ts'

/** Operator set of graphs over the head alone, which has scatters that add on every provider. */
const OPSET = 18

/** Maps the name of a constant in the step graph to its name in the emitted graph. */
type Rename = (name: string) => string

export interface EmittedLogits {
  /** g(x), `[R, V]`, float32. */
  readonly logits: string
  /** g'(x) = `factor` times the product of `slopes`, each `[R, V]`. */
  readonly factor: number
  readonly slopes: readonly string[]
}

/** A dense W in scope, for products in both directions. */
export interface EmittedWeight {
  readonly name: string
  /** True for `[V, D]`, false for `[D, V]`. */
  readonly rowsAreTokens: boolean
  readonly dataType: number
}

/**
 * Emits the logits of latents `z` `[R, D]` (float32) as the step graph computes them, with its quantised
 * product.
 */
export function emitModelLogits(tape: Tape, head: LmHead, z: string, rename: Rename): string {
  const { projection } = head
  if (projection.kind === 'dense') {
    const x = emitProduct(tape, emitWeight(tape, projection, rename), z)
    return emitElementwise(tape, head, x, rename).logits
  }
  const x = emitMatMulNBits(tape, projection, cast(tape, z, projection.dataType), rename)
  return emitElementwise(tape, head, cast(tape, x, DATA_TYPES.float32), rename).logits
}

/** Brings a dense W into scope, as stored or cast. */
export function emitWeight(tape: Tape, projection: DenseProjection, rename: Rename): EmittedWeight {
  const { weight, storedAs, dataType, rowsAreTokens } = projection
  const name = rename(weight)
  return {
    name: storedAs === dataType ? name : tape.op('Cast', [name], { to: int(dataType) }),
    rowsAreTokens,
    dataType,
  }
}

/** Emits x = W z `[R, V]` in float32; the product runs in the type of W. */
export function emitProduct(tape: Tape, weight: EmittedWeight, z: string): string {
  const typed = cast(tape, z, weight.dataType)
  const product = weight.rowsAreTokens
    ? tape.op('Gemm', [typed, weight.name], { transB: int(1) })
    : tape.op('MatMul', [typed, weight.name])
  return cast(tape, product, DATA_TYPES.float32)
}

/** Emits g(x), the elementwise steps after the projection, in float32. */
export function emitElementwise(tape: Tape, head: LmHead, x: string, rename: Rename): EmittedLogits {
  let logits = x
  let factor = 1
  const slopes: string[] = []
  for (const step of head.elementwise) {
    switch (step.kind) {
      case 'add':
        logits = tape.op('Add', [logits, cast(tape, rename(step.constant), DATA_TYPES.float32)])
        break
      case 'scale':
        logits = tape.op('Mul', [logits, tape.constant(float32(step.factor))])
        factor *= step.factor
        break
      case 'tanh':
        logits = tape.op('Tanh', [logits])
        // d tanh(x) / dx = 1 - tanh(x)^2
        slopes.push(tape.op('Sub', [tape.constant(float32(1)), tape.op('Mul', [logits, logits])]))
        break
    }
  }
  return { logits, factor, slopes }
}

/** Emits the gradient at the product `[R, V]`, float32, from the one at the logits: g'(x) * gradient. */
export function emitProductGradient(tape: Tape, { factor, slopes }: EmittedLogits, gradient: string): string {
  const scaled = factor === 1 ? gradient : tape.op('Mul', [gradient, tape.constant(float32(factor))])
  return slopes.reduce((product, slope) => tape.op('Mul', [product, slope]), scaled)
}

/** Emits the gradient at the latents `[R, D]`, float32, from the one at the product `[R, V]`: gradient W. */
export function emitLatentGradient(tape: Tape, weight: EmittedWeight, gradient: string): string {
  const typed = cast(tape, gradient, weight.dataType)
  const atLatents = weight.rowsAreTokens
    ? tape.op('MatMul', [typed, weight.name])
    : tape.op('Gemm', [typed, weight.name], { transB: int(1) })
  return cast(tape, atLatents, DATA_TYPES.float32)
}

/**
 * Returns the constants of the head under names that no input of a compiled graph has, and the function that
 * makes the names.
 */
export function headScope(
  graph: Graph,
  head: LmHead,
): { initializers: ReadonlyMap<string, StoredTensor>; rename: Rename } {
  const rename = (name: string) => `head/${name}`
  const constants = headConstants(graph, head)
  return { initializers: new Map([...constants].map(([name, tensor]) => [rename(name), tensor])), rename }
}

/**
 * Creates a model from a graph over the head.
 * @throws ServiceError GRAPH_PRECONDITION, GRAPH_POSTCONDITION
 */
export function createHeadModel(graph: Graph, opset = OPSET): Model {
  return runPasses(
    [hoistInitializers, removeUnused, sortNodes],
    createModel(graph, { '': opset, 'com.microsoft': 1 }),
  ).model
}

/**
 * Returns the constants that a head reads, by name; they are shared with the step graph, and external data
 * stays external.
 */
function headConstants(graph: Graph, head: LmHead): ReadonlyMap<string, StoredTensor> {
  const { projection } = head
  const names = head.elementwise.flatMap((step) => (step.kind === 'add' ? [step.constant] : []))
  names.push(projection.weight)
  if (projection.kind === 'quantized') {
    names.push(projection.scales)
    if (projection.zeroPoints) names.push(projection.zeroPoints)
  }
  const constants = constantsOf(graph)
  return new Map(names.map((name) => [name, constants.get(name)!]))
}

/** Emits a Cast even to the same type: ONNX Runtime removes casts that change nothing. */
export function cast(tape: Tape, value: string, dataType: number): string {
  return tape.op('Cast', [value], { to: int(dataType) })
}
