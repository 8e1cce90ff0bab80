/** @file Ops that put elements elsewhere and keep them all, or repeat them. */

import { intAttribute, intsAttribute } from '#onnx'
import { type Known, numbersOf, type ShapeContext, type ShapeRule, type ShapeRules } from './shape-rule.ts'
import { broadcast, frontAxis, isStatic, product, quotient, type Size } from './sizes.ts'

/** The target of a Reshape: 0 copies a size, -1 takes what remains. */
function reshape({ node, inputs, fresh }: ShapeContext, target: readonly Size[]): readonly Size[] {
  const { shape } = inputs[0]!
  const copiesZeros = intAttribute(node, 'allowzero', 0) === 0
  const copied = target.map((size, axis) => (size === 0 && copiesZeros ? shape[axis]! : size))
  const others = copied.filter((size) => size !== -1)
  return copied.map((size) => (size === -1 ? (quotient(shape, others) ?? fresh()) : size))
}

/** A shape of which only the rank is known, from a shape vector that the run computes. */
function unknownShape({ inputs, fresh }: ShapeContext): readonly Size[] | null {
  const rank = inputs[1]!.shape[0]
  return typeof rank === 'number' ? Array.from({ length: rank }, fresh) : null
}

const withShape =
  (shapeOf: (context: ShapeContext) => readonly Size[] | null): ShapeRule =>
  (context) => {
    const shape = shapeOf(context)
    return shape && [{ dataType: context.inputs[0]!.dataType, shape, entries: keptEntries(context, shape) }]
  }

/** In arithmetic on shapes, scalars become vectors of one element and back. */
function keptEntries({ inputs: [x] }: ShapeContext, shape: readonly Size[]): Known['entries'] {
  return shape.length <= 1 && product(shape) === x!.entries?.length ? x!.entries : undefined
}

export const movement: ShapeRules = {
  Transpose: withShape(({ node, inputs: [x] }) => {
    const perm = intsAttribute(node, 'perm') ?? x!.shape.map((_, axis) => x!.shape.length - 1 - axis)
    return perm.map((axis) => x!.shape[axis]!)
  }),
  Reshape: withShape((context) => {
    const target = context.inputs[1]!.entries
    return target ? reshape(context, target) : unknownShape(context)
  }),
  Flatten: withShape(({ node, inputs: [x] }) => {
    const axis = frontAxis(intAttribute(node, 'axis', 1), x!.shape.length)
    return [product(x!.shape.slice(0, axis)), product(x!.shape.slice(axis))]
  }),
  Unsqueeze: withShape((context) => {
    const { shape } = context.inputs[0]!
    const axes = numbersOf(context, 1)
    if (!axes) return null
    const rank = shape.length + axes.length
    const added = new Set(axes.map((axis) => frontAxis(axis, rank)))
    const rest = shape.values()
    return Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.next().value!))
  }),
  Squeeze: withShape((context) => {
    const { shape } = context.inputs[0]!
    // Without axes those of size 1 go, which symbols may or may not be.
    if (!context.inputs[1]) return isStatic(shape) ? shape.filter((size) => size !== 1) : null
    const axes = numbersOf(context, 1)?.map((axis) => frontAxis(axis, shape.length))
    return axes ? shape.filter((_, axis) => !axes.includes(axis)) : null
  }),
  Expand: withShape((context) => {
    const target = context.inputs[1]!.entries ?? unknownShape(context)
    return target && broadcast(context.inputs[0]!.shape, target, context.fresh)
  }),
}
