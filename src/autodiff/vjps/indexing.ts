/** @file Rules of ops that pick elements out or put pieces together. */

import { int, intAttribute, string } from '#onnx'
import { sliceRange } from '../shapes/indexing.ts'
import { frontAxis } from '../shapes/sizes.ts'
import { ofFirstOutput, type Primal, type VjpRules } from './vjp-rule.ts'

export const indexing: VjpRules = {
  /** What was gathered is added back where it came from, an index that occurs twice twice. */
  Gather: ofFirstOutput((f, primal, dY) => {
    const [x, indices] = primal.node.inputs as [string, string]
    const shape = primal.shape(x)
    const axis = frontAxis(intAttribute(primal.node, 'axis', 0), shape.length)
    // The axes of the indices as one, in the place of the axis that they replaced.
    const one = shape.map((_, i) => (i === axis ? -1 : staticSize(primal, x, i)))
    const updates = f.op('Reshape', [dY, f.int64(one)])
    const column = one.map((_, i) => (i === axis ? -1 : 1))
    const places = f.op('Expand', [f.op('Reshape', [indices, f.int64(column)]), f.op('Shape', [updates])])
    // ScatterElements and not ScatterND: its sums are made in order, so they are the same every time.
    const scatter = { axis: int(axis), reduction: string('add') }
    return [f.op('ScatterElements', [f.zerosLike(x, shape), places, updates], scatter), null]
  }),

  /** Zeros around what was taken. */
  Slice: ofFirstOutput((f, primal, dY) => {
    const [x, starts, ends, axes, steps] = primal.node.inputs as [string, string, string, string?, string?]
    const shape = primal.shape(x)
    const from = primal.entries(starts)
    const to = primal.entries(ends)
    const along = axes ? primal.entries(axes) : from.map((_, axis) => axis)
    const stride = steps ? primal.entries(steps) : []
    if (stride.some((step) => step !== 1)) throw primal.refusal('steps of 1', `[${stride}]`)

    const before = shape.map(() => 0)
    const after = shape.map(() => 0)
    for (const [i, given] of along.entries()) {
      const axis = frontAxis(given, shape.length)
      const size = staticSize(primal, x, axis)
      const { start, count } = sliceRange(size, from[i]!, to[i]!, 1)
      before[axis] = start
      after[axis] = size - start - count
    }
    const padded = f.op('Pad', [dY, f.int64([...before, ...after])])
    return primal.node.inputs.map((_, i) => (i === 0 ? padded : null))
  }),

  Concat: ofFirstOutput((f, primal, dY) => {
    const { node } = primal
    const axis = frontAxis(intAttribute(node, 'axis', 0), primal.shape(node.inputs[0]!).length)
    const sizes = node.inputs.map((input) => staticSize(primal, input, axis))
    return f.split(dY, axis, sizes)
  }),

  /** An output that the loss does not read counts as zeros. */
  Split: (f, { node, shape }, dYs) => {
    const parts = node.outputs.map((output, i) => dYs[i] ?? f.zerosLike(output, shape(output)))
    const dX = f.op('Concat', parts, { axis: int(intAttribute(node, 'axis', 0)) })
    return node.inputs.map((_, i) => (i === 0 ? dX : null))
  },
}

function staticSize(primal: Primal, value: string, axis: number): number {
  const size = primal.shape(value)[axis]!
  if (typeof size === 'number') return size
  throw primal.refusal(`a known size of axis ${axis} of "${value}"`, `"${size}"`)
}
