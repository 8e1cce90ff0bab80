/**
 * @file VJP rules of ops that move, repeat or select elements: cotangents return to the elements' original
 * places.
 */

import { int, intAttribute, intsAttribute, string } from '#onnx'
import { frontAxis } from '../shapes/sizes.ts'
import type { Primal, VjpRules } from './vjp-rule.ts'

export const movement: VjpRules = {
  Reshape: (f, { node, shape }, dY) => {
    const x = node.inputs[0]!
    return [f.reshapeTo(dY, x, shape(x)), null]
  },

  Unsqueeze: (f, { node, entries }, dY) => [f.squeeze(dY, entries(node.inputs[1]!)), null],

  Transpose: (f, { node, shape }, dY) => {
    const rank = shape(node.inputs[0]!).length
    const perm = intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
    const inverse = perm.map((_, axis) => perm.indexOf(axis))
    return [f.transpose(dY, inverse)]
  },

  /** Adds every cotangent to the element that was gathered; an index that occurs twice is added twice. */
  Gather: (f, primal, dY) => {
    const [x, indices] = primal.node.inputs as [string, string]
    const shape = primal.shape(x)
    const axis = frontAxis(intAttribute(primal.node, 'axis', 0), shape.length)
    // The axes of the indices become one axis, in the place of the gathered axis.
    const one = shape.map((_, i) => (i === axis ? -1 : staticSize(primal, x, i)))
    const updates = f.op('Reshape', [dY, f.int64(one)])
    const column = one.map((_, i) => (i === axis ? -1 : 1))
    const places = f.op('Expand', [f.op('Reshape', [indices, f.int64(column)]), f.op('Shape', [updates])])
    // ScatterElements, because it sums in a fixed order and ScatterND does not: equal runs give equal
    // gradients.
    const scatter = { axis: int(axis), reduction: string('add') }
    return [f.op('ScatterElements', [f.zerosLike(x, shape), places, updates], scatter), null]
  },
}

function staticSize(primal: Primal, value: string, axis: number): number {
  const size = primal.shape(value)[axis]!
  if (typeof size === 'number') return size
  throw primal.refusal(`a known size of axis ${axis} of "${value}"`, `"${size}"`)
}
