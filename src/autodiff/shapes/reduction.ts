/** @file Ops that take axes away or make them 1. */

import { DATA_TYPES, intAttribute } from '#onnx'
import { numbersOf, type ShapeContext, type ShapeRule, type ShapeRules } from './shape-rule.ts'
import { frontAxis, type Size } from './sizes.ts'

/** The shape without `axes`; all axes when none are given. */
function reduce(shape: readonly Size[], axes: readonly number[], keepsAxes: boolean): readonly Size[] {
  const reduced = new Set(axes.map((axis) => frontAxis(axis, shape.length)))
  const isReduced = (axis: number) => reduced.size === 0 || reduced.has(axis)
  return keepsAxes
    ? shape.map((size, axis) => (isReduced(axis) ? 1 : size))
    : shape.filter((_, axis) => !isReduced(axis))
}

/** Axes are the second input (ReduceSum since operator set 13, the others since 18). */
const reduceAxes: ShapeRule = (context) => {
  const { node, inputs } = context
  const { dataType, shape } = inputs[0]!
  const axes = inputs[1] ? numbersOf(context, 1) : []
  if (axes === undefined) return null
  if (axes.length === 0 && intAttribute(node, 'noop_with_empty_axes', 0) === 1) return [{ dataType, shape }]
  return [{ dataType, shape: reduce(shape, axes, intAttribute(node, 'keepdims', 1) === 1) }]
}

const argument: ShapeRule = ({ node, inputs: [x] }: ShapeContext) => [
  {
    dataType: DATA_TYPES.int64,
    shape: reduce(x!.shape, [intAttribute(node, 'axis', 0)], intAttribute(node, 'keepdims', 1) === 1),
  },
]

export const reduction: ShapeRules = {
  ReduceSum: reduceAxes,
  ReduceMean: reduceAxes,
  ReduceMax: reduceAxes,
  ReduceSumSquare: reduceAxes,
  ArgMax: argument,
  ArgMin: argument,
  /** Y, and the mean and 1 / standard deviation of each group, its axes kept as 1. */
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
