/**
 * @file Finds the LM head of a decoder by a walk from the logits back to the hidden states after the final
 * norm.
 */

import { ServiceError } from '#errors'
import {
  DATA_TYPES,
  floatAttribute,
  type Graph,
  intAttribute,
  intsAttribute,
  loadTensor,
  type Node,
  producers,
  type StoredTensor,
} from '#onnx'
import { elementCount, fromFloat16 } from '#tensor'

/** The part between the hidden states and the logits: a projection, then elementwise steps in order. */
export interface LmHead {
  /**
   * Name of the projection's input in the step graph, `[B, S, D]` or `[B*S, D]`: the latents of LatentSeek
   * (Eq. 1).
   */
  readonly hidden: string
  readonly projection: Projection
  readonly elementwise: readonly Elementwise[]
}

export type Projection = DenseProjection | QuantizedProjection

export interface DenseProjection {
  readonly kind: 'dense'
  /** Name of the constant that holds W. */
  readonly weight: string
  /** True when W is stored `[V, D]` (tied embeddings, Gemm with transB), false for `[D, V]`. */
  readonly rowsAreTokens: boolean
  /** ONNX data types of W as stored and of the product; they differ when the graph casts W. */
  readonly storedAs: number
  readonly dataType: number
}

/**
 * MatMulNBits: W `[V, D]` in blocks along D of `bits`-bit numbers, each block with a scale and a zero point.
 */
export interface QuantizedProjection {
  readonly kind: 'quantized'
  readonly weight: string
  readonly scales: string
  readonly zeroPoints: string | null
  readonly bits: number
  readonly blockSize: number
  readonly accuracyLevel: number | null
  /** Rows of W, V. */
  readonly rows: number
  /** Columns of W, D. */
  readonly columns: number
  readonly dataType: number
}

export type Elementwise =
  /** Adds a constant, `[V]` or of one element. */
  | { readonly kind: 'add'; readonly constant: string }
  | { readonly kind: 'scale'; readonly factor: number }
  | { readonly kind: 'tanh' }

export interface FoundHead {
  readonly head: LmHead
  readonly vocabularySize: number
  readonly hiddenSize: number
  /** Whether the graph computes the logits of the last position only; `head.hidden` holds all positions. */
  readonly isPruned: boolean
}

/** Advice that ends the message of a refusal. */
export const EXPORT_AGAIN =
  'export it again with `optimum-cli export onnx --task text-generation-with-past --model MODEL FOLDER`'

/** Ops that change the shape or the type of logits, never their values or order. */
const TRANSPARENT = new Set(['Identity', 'Cast', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten'])

/** Look-up of constants, whether initializers or Constant nodes. */
export interface Constants {
  /** Returns the stored tensor of a name; undefined when the value is computed. */
  get(name: string): StoredTensor | undefined
}

export function constantsOf(graph: Graph): Constants {
  const byOutput = producers(graph)
  return {
    get(name) {
      const stored = graph.initializers.get(name)
      if (stored) return stored
      const attribute = byOutput.get(name)?.attributes.get('value')
      return byOutput.get(name)?.opType === 'Constant' && attribute?.type === 'tensor'
        ? attribute.value
        : undefined
    },
  }
}

/**
 * Walks back from `logits` through reshapes, casts, constant additions and scales and tanh (soft-caps) to a
 * product with a constant matrix: MatMul, Gemm or MatMulNBits, the matrix tied and transposed or not.
 *
 * @throws ServiceError MODEL_UNSUPPORTED naming the node at which the walk ended.
 */
export function findLmHead(graph: Graph, logits: string): FoundHead {
  const byOutput = producers(graph)
  const constants = constantsOf(graph)
  const elementwise: Elementwise[] = []
  for (let name = logits; ; ) {
    const node = byOutput.get(name)
    if (!node) throw unsupported(`"${name}", which no node of the main graph computes`)
    const found = projectionOf(node, byOutput, constants)
    if (found) {
      const { bias, ...rest } = found
      if (bias) elementwise.unshift({ kind: 'add', constant: bias })
      const unpruned = beforePruning(node.inputs[0]!, byOutput, constants)
      const hidden = unpruned ?? node.inputs[0]!
      return {
        ...rest,
        head: { hidden, projection: found.projection, elementwise },
        isPruned: unpruned !== null,
      }
    }
    if (TRANSPARENT.has(node.opType)) {
      name = node.inputs[0]!
      continue
    }
    const step = elementwiseOf(node, byOutput, constants)
    if (!step) throw unsupported(`${node.opType} "${node.name}"`)
    elementwise.unshift(step.elementwise)
    name = step.input
  }
}

/**
 * Returns the value before the Gather of the last position (`prune_lm_head` of onnxruntime-genai): states of
 * every position. Null where nothing is pruned.
 */
function beforePruning(
  hidden: string,
  byOutput: ReadonlyMap<string, Node>,
  constants: Constants,
): string | null {
  let node: Node | undefined = byOutput.get(hidden)
  while (node?.opType === 'Unsqueeze' || node?.opType === 'Identity') node = byOutput.get(node.inputs[0]!)
  if (node?.opType !== 'Gather' || intAttribute(node, 'axis', 0) !== 1) return null
  const index = constants.get(node.inputs[1]!)
  return index && Number(loadTensor(index).data[0]) === -1 ? node.inputs[0]! : null
}

function elementwiseOf(
  node: Node,
  byOutput: ReadonlyMap<string, Node>,
  constants: Constants,
): { elementwise: Elementwise; input: string } | null {
  const [first, second] = node.inputs
  if (node.opType === 'Tanh') return { elementwise: { kind: 'tanh' }, input: first! }
  if (node.opType !== 'Add' && node.opType !== 'Mul' && node.opType !== 'Div') return null
  const right = resolve(second!, byOutput, constants)
  const left = node.opType === 'Div' ? null : resolve(first!, byOutput, constants)
  const constant = right ?? left
  if (!constant) return null
  const input = right ? first! : second!
  if (node.opType === 'Add') return { elementwise: { kind: 'add', constant: constant.name }, input }
  const factor = scalarOf(constant.stored)
  if (factor === null) return null
  return { elementwise: { kind: 'scale', factor: node.opType === 'Mul' ? factor : 1 / factor }, input }
}

type Found = Omit<FoundHead, 'head' | 'isPruned'> & { projection: Projection; bias?: string }

function projectionOf(node: Node, byOutput: ReadonlyMap<string, Node>, constants: Constants): Found | null {
  if (node.opType === 'MatMulNBits') return quantizedOf(node, constants)
  if (node.domain !== '' || (node.opType !== 'MatMul' && node.opType !== 'Gemm')) return null
  refuseDequantized(node, byOutput)
  const weight = resolve(node.inputs[1]!, byOutput, constants)
  if (weight?.stored.dims.length !== 2) {
    throw unsupported(`${node.opType} "${node.name}" whose matrix is not a two-dimensional constant`)
  }
  const isGemm = node.opType === 'Gemm'
  if (
    isGemm &&
    (intAttribute(node, 'transA', 0) !== 0 ||
      floatAttribute(node, 'alpha', 1) !== 1 ||
      floatAttribute(node, 'beta', 1) !== 1)
  ) {
    throw unsupported(`Gemm "${node.name}" with transA, alpha or beta`)
  }
  const rowsAreTokens = weight.transposed !== (isGemm && intAttribute(node, 'transB', 0) === 1)
  const [rows, columns] = weight.stored.dims as [number, number]
  const bias = isGemm && node.inputs[2] ? resolve(node.inputs[2], byOutput, constants) : undefined
  if (bias === null) throw unsupported(`Gemm "${node.name}" whose bias is not a constant`)
  return {
    projection: {
      kind: 'dense',
      weight: weight.name,
      rowsAreTokens,
      storedAs: weight.stored.dataType,
      dataType: weight.dataType,
    },
    vocabularySize: rowsAreTokens ? rows : columns,
    hiddenSize: rowsAreTokens ? columns : rows,
    ...(bias && { bias: bias.name }),
  }
}

/** Throws for a matrix behind a DequantizeLinear that `fuseHead` does not rewrite. */
function refuseDequantized(node: Node, byOutput: ReadonlyMap<string, Node>): void {
  let source = byOutput.get(node.inputs[1]!)
  while (source?.opType === 'Transpose' || source?.opType === 'Cast') source = byOutput.get(source.inputs[0]!)
  if (source?.opType !== 'DequantizeLinear') return
  throw unsupported(
    `${node.opType} "${node.name}" with the matrix of DequantizeLinear "${source.name}"; build the model without ` +
      'use_qdq (onnxruntime-genai: `python -m onnxruntime_genai.models.builder -m MODEL -o FOLDER -p int4 -e cpu`)',
  )
}

function quantizedOf(node: Node, constants: Constants): Found {
  const [, weight, scales, zeroPoints, groups, bias] = node.inputs
  const bits = intAttribute(node, 'bits', 4)
  const stored = [weight, scales, zeroPoints, bias].map((name) => (name ? constants.get(name) : undefined))
  const [packed, scale, zero] = stored
  const wrong =
    groups || !packed || !scale || (zeroPoints && zero?.dataType !== DATA_TYPES.uint8) || (bias && !stored[3])
  if (wrong || (bits !== 4 && bits !== 8)) {
    throw unsupported(`MatMulNBits "${node.name}" with ${bits} bits${groups ? ', reordered groups' : ''}`)
  }
  const [rows, columns] = [intAttribute(node, 'N', 0), intAttribute(node, 'K', 0)]
  return {
    projection: {
      kind: 'quantized',
      weight: weight!,
      scales: scales!,
      zeroPoints: zeroPoints || null,
      bits,
      blockSize: intAttribute(node, 'block_size', 32),
      accuracyLevel: node.attributes.has('accuracy_level') ? intAttribute(node, 'accuracy_level', 0) : null,
      rows,
      columns,
      dataType: scale.dataType,
    },
    vocabularySize: rows,
    hiddenSize: columns,
    ...(bias && { bias }),
  }
}

interface Resolved {
  name: string
  stored: StoredTensor
  transposed: boolean
  /** Data type after the casts between the constant and the value. */
  dataType: number
}

/**
 * Follows Identity, Cast and transpositions of two axes from a value to its constant; null when the value is
 * computed.
 */
function resolve(name: string, byOutput: ReadonlyMap<string, Node>, constants: Constants): Resolved | null {
  const stored = constants.get(name)
  if (stored) return { name, stored, transposed: false, dataType: stored.dataType }
  const node = byOutput.get(name)
  if (!node) return null
  if (node.opType !== 'Identity' && node.opType !== 'Cast' && node.opType !== 'Transpose') return null
  const source = resolve(node.inputs[0]!, byOutput, constants)
  if (!source) return null
  if (node.opType === 'Cast') return { ...source, dataType: intAttribute(node, 'to', source.dataType) }
  if (node.opType === 'Identity') return source
  const perm = intsAttribute(node, 'perm') ?? [1, 0]
  return perm.length === 2 && perm[0] === 1 ? { ...source, transposed: !source.transposed } : null
}

/** Returns the number in a tensor of one element; null for other tensors. */
function scalarOf(stored: StoredTensor): number | null {
  if (elementCount(stored.dims) !== 1) return null
  const { dtype, data } = loadTensor(stored)
  return dtype === 'float16' ? fromFloat16(data as Uint16Array)[0]! : Number(data[0])
}

function unsupported(found: string): ServiceError {
  return new ServiceError(
    'MODEL_UNSUPPORTED',
    'find LM head: expected a path back from "logits" through reshapes, casts, constant Add, scalar Mul and Div, and ' +
      `Tanh to a MatMul, Gemm or MatMulNBits with constant weights, got ${found}; take the q4, fp16 or fp32 variant of ` +
      `the model, or ${EXPORT_AGAIN}`,
  )
}
