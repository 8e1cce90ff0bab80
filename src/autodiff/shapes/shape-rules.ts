/**
 * @file Shape rules: element types and shapes of a node's outputs from those of its inputs, before the graph
 * runs.
 */

import { DATA_TYPES, intAttribute, intsAttribute, type Node } from '#onnx'
import { broadcast, frontAxis, quotient, type Size } from './sizes.ts'

/** Type and shape of a value, as known before the run. */
export interface Known {
  readonly dataType: number
  readonly shape: readonly Size[]
  /** Elements of an int64 scalar or vector stored in the graph: shapes, axes. */
  readonly entries?: readonly number[] | undefined
}

interface ShapeContext {
  readonly node: Node
  /** One entry per input of the node; undefined for an omitted optional input. */
  readonly inputs: readonly (Known | undefined)[]
  /** Returns a new symbol for a size that is known only during the run. */
  fresh(): Size
}

/**
 * Returns what is known of the outputs, in order; null when not even the rank is known. Called only when all
 * inputs are known.
 */
type ShapeRule = (context: ShapeContext) => readonly Known[] | null

const same: ShapeRule = ({ inputs: [x] }) => [{ dataType: x!.dataType, shape: x!.shape }]

const broadcastAll = ({ inputs, fresh }: ShapeContext) =>
  (inputs as readonly Known[]).reduce<Known['shape']>((shape, x) => broadcast(shape, x.shape, fresh), [])

const broadcasting: ShapeRule = (context) => [
  { dataType: context.inputs[0]!.dataType, shape: broadcastAll(context) },
]

const comparing: ShapeRule = (context) => [{ dataType: DATA_TYPES.bool, shape: broadcastAll(context) }]

/**
 * Axes are the second input (ReduceSum since operator set 13, ReduceMean since 18); without them all axes
 * are reduced.
 */
const reducing: ShapeRule = ({ node, inputs: [x, axes] }) => {
  const { dataType, shape } = x!
  const given = axes ? axes.entries : []
  if (given === undefined) return null
  if (given.length === 0 && intAttribute(node, 'noop_with_empty_axes', 0) === 1) return [{ dataType, shape }]
  const reduced = new Set(given.map((axis) => frontAxis(axis, shape.length)))
  const isReduced = (axis: number) => reduced.size === 0 || reduced.has(axis)
  const keepsAxes = intAttribute(node, 'keepdims', 1) === 1
  return [
    {
      dataType,
      shape: keepsAxes
        ? shape.map((size, axis) => (isReduced(axis) ? 1 : size))
        : shape.filter((_, axis) => !isReduced(axis)),
    },
  ]
}

const all = (rule: ShapeRule, ...opTypes: readonly string[]) =>
  Object.fromEntries(opTypes.map((opType) => [opType, rule]))

export const SHAPE_RULES: Readonly<Record<string, ShapeRule>> = {
  ...all(broadcasting, 'Add', 'Sub', 'Mul', 'Div'),
  ...all(comparing, 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Equal'),
  ...all(same, 'Identity', 'Neg', 'Abs', 'Sqrt', 'Exp', 'Log'),
  ...all(same, 'Gelu', 'Relu', 'Sigmoid', 'Softplus', 'Tanh', 'Softmax', 'LogSoftmax'),
  ...all(reducing, 'ReduceSum', 'ReduceMean'),
  Where: (context) => [{ dataType: context.inputs[1]!.dataType, shape: broadcastAll(context) }],
  /**
   * [.., M, K] [.., K, N] -> [.., M, N], the axes before the last two broadcast. A vector is a row on the
   * left and a column on the right.
   */
  MatMul: ({ inputs: [a, b], fresh }) => {
    const rows = a!.shape.length === 1 ? [] : a!.shape.slice(-2, -1)
    const columns = b!.shape.length === 1 ? [] : b!.shape.slice(-1)
    const batch = broadcast(a!.shape.slice(0, -2), b!.shape.slice(0, -2), fresh)
    return [{ dataType: a!.dataType, shape: [...batch, ...rows, ...columns] }]
  },
  Gather: ({ node, inputs: [data, indices] }) => {
    const { dataType, shape } = data!
    const axis = frontAxis(intAttribute(node, 'axis', 0), shape.length)
    return [{ dataType, shape: [...shape.slice(0, axis), ...indices!.shape, ...shape.slice(axis + 1)] }]
  },
  Transpose: ({ node, inputs: [x] }) => {
    const { dataType, shape } = x!
    const perm = intsAttribute(node, 'perm') ?? shape.map((_, axis) => shape.length - 1 - axis)
    return [{ dataType, shape: perm.map((axis) => shape[axis]!) }]
  },
  /** In the target, 0 copies a size (unless `allowzero`) and -1 takes the remaining elements. */
  Reshape: ({ node, inputs: [x, target], fresh }) => {
    if (!target!.entries) return null
    const { dataType, shape } = x!
    const copiesZeros = intAttribute(node, 'allowzero', 0) === 0
    const copied = target!.entries.map((size, axis) => (size === 0 && copiesZeros ? shape[axis]! : size))
    const others = copied.filter((size) => size !== -1)
    return [
      { dataType, shape: copied.map((size) => (size === -1 ? (quotient(shape, others) ?? fresh()) : size)) },
    ]
  },
  Unsqueeze: ({ inputs: [x, axes] }) => {
    if (!axes!.entries) return null
    const { dataType, shape } = x!
    const rank = shape.length + axes!.entries.length
    const added = new Set(axes!.entries.map((axis) => frontAxis(axis, rank)))
    const rest = shape.values()
    const sizes = Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.next().value!))
    return [{ dataType, shape: sizes }]
  },
  /** Y, then mean and 1 / standard deviation of each group, in which the normalised axes have size 1. */
  LayerNormalization: ({ node, inputs: [x] }) => {
    const { dataType, shape } = x!
    const axis = frontAxis(intAttribute(node, 'axis', -1), shape.length)
    const statistics = {
      dataType: DATA_TYPES.float32,
      shape: shape.map((size, i) => (i < axis ? size : 1)),
    }
    return [{ dataType, shape }, statistics, statistics]
  },
}
