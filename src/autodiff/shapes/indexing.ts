/** @file Ops that pick elements out or put pieces together. */

import { intAttribute } from '#onnx'
import { type Known, numbersOf, type ShapeContext, type ShapeRules } from './shape-rule.ts'
import { frontAxis, quotient, type Size } from './sizes.ts'

/**
 * What a Slice takes of an axis of `size` elements: `count` of them from `start` on. Negative positions count from the back, and
 * positions beyond either end are clamped, as ONNX has it.
 */
export function sliceRange(size: number, start: number, end: number, step: number) {
  const clamp = (position: number, low: number, high: number) =>
    Math.min(Math.max(position < 0 ? position + size : position, low), high)
  const [from, to] =
    step > 0
      ? [clamp(start, 0, size), clamp(end, 0, size)]
      : [clamp(start, 0, size - 1), clamp(end, -1, size - 1)]
  return { start: from, count: Math.max(0, Math.ceil((to - from) / step)) }
}

/** The size of a sliced axis; a symbol stays itself when all of it is taken. */
function slicedSize(size: Size, start: number, end: number, step: number, fresh: () => Size): Size {
  if (typeof size === 'number') return sliceRange(size, start, end, step).count
  return start === 0 && end >= 2 ** 31 - 1 && step === 1 ? size : fresh()
}

function gatherEntries([data, indices]: ShapeContext['inputs'], axis: number): Known['entries'] {
  const { entries } = data!
  if (!entries || axis !== 0) return undefined
  const picked = indices!.entries?.map((index) =>
    typeof index === 'number' ? entries[frontAxis(index, entries.length)] : undefined,
  )
  return picked?.every((entry) => entry !== undefined) ? (picked as readonly Size[]) : undefined
}

export const indexing: ShapeRules = {
  Gather: ({ node, inputs }) => {
    const [data, indices] = inputs as readonly [Known, Known]
    const axis = frontAxis(intAttribute(node, 'axis', 0), data.shape.length)
    const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)]
    return [{ dataType: data.dataType, shape, entries: gatherEntries(inputs, axis) }]
  },
  Slice: (context) => {
    const { dataType, shape } = context.inputs[0]!
    const starts = numbersOf(context, 1)
    const ends = numbersOf(context, 2)
    const axes = context.inputs[3] ? numbersOf(context, 3) : starts?.map((_, axis) => axis)
    const steps = context.inputs[4] ? numbersOf(context, 4) : starts?.map(() => 1)
    if (!starts || !ends || !axes || !steps) return [{ dataType, shape: shape.map(context.fresh) }]
    const sliced = [...shape]
    for (const [i, given] of axes.entries()) {
      const axis = frontAxis(given, shape.length)
      sliced[axis] = slicedSize(shape[axis]!, starts[i]!, ends[i]!, steps[i]!, context.fresh)
    }
    return [{ dataType, shape: sliced }]
  },
  Concat: ({ node, inputs, fresh }) => {
    const parts = inputs as readonly Known[]
    const { dataType, shape } = parts[0]!
    const axis = frontAxis(intAttribute(node, 'axis', 0), shape.length)
    const sizes = parts.map((part) => part.shape[axis]!)
    const total = sizes.every((size) => typeof size === 'number')
      ? sizes.reduce((sum, size) => sum + size, 0)
      : fresh()
    const entries = parts.every((part) => part.entries) ? parts.flatMap((part) => part.entries!) : undefined
    return [{ dataType, shape: shape.map((size, i) => (i === axis ? total : size)), entries }]
  },
  Split: (context) => {
    const { node, inputs, fresh } = context
    const { dataType, shape } = inputs[0]!
    const axis = frontAxis(intAttribute(node, 'axis', 0), shape.length)
    const even = quotient([shape[axis]!], [node.outputs.length])
    const sizes = numbersOf(context, 1) ?? node.outputs.map(() => (inputs[1] ? fresh() : (even ?? fresh())))
    return sizes.map((size) => ({ dataType, shape: shape.map((other, i) => (i === axis ? size : other)) }))
  },
}
