/** @file VJP rules of matrix products, sums and means, and of the normalisations built on them. */

import { intAttribute } from '#onnx'
import type { Formulas } from '../formulas.ts'
import { frontAxis, quotient } from '../shapes/sizes.ts'
import { unbroadcast } from './unbroadcast.ts'
import type { Primal, VjpRules } from './vjp-rule.ts'

export const reduction: VjpRules = {
  /** dA = dY B^T, dB = A^T dY, the axes before the last two broadcast. */
  MatMul: (f, primal, dY) => {
    const [a, b] = primal.node.inputs as [string, string]
    const ranks = [a, b].map((factor) => primal.shape(factor).length)
    if (Math.min(...ranks) < 2)
      throw primal.refusal('factors of rank 2 or more', `ranks ${ranks.join(' and ')}`)
    if (ranks[1] === 2) {
      // One matrix for all rows: two matrix products instead of one per batch and a sum over the batches.
      const dRows = f.rows(dY)
      return [
        f.reshapeTo(f.gemm(dRows, b, { transB: true }), a, primal.shape(a)),
        f.gemm(f.rows(a), dRows, { transA: true }),
      ]
    }
    const batch = primal.shape(primal.node.outputs[0]!).slice(0, -2)
    const transposed = (x: string) => f.transpose(x, swapLastTwo(primal.shape(x).length))
    const summed = (value: string, x: string) =>
      unbroadcast(f, primal, value, [...batch, ...primal.shape(x).slice(-2)], x)
    return [summed(f.matMul(dY, transposed(b)), a), summed(f.matMul(transposed(a), dY), b)]
  },

  ReduceSum: (f, primal, dY) => spread(f, primal, dY),
  ReduceMean: (f, primal, dY) => spread(f, primal, f.div(dY, reducedCount(f, primal))),

  /** dX = y (dY - sum dY y) */
  Softmax: ({ mul, sub, sum }, { node }, dY) => {
    const y = node.outputs[0]!
    return [mul(y, sub(dY, sum(mul(dY, y), [intAttribute(node, 'axis', -1)])))]
  },
  /** dX = dY - exp(y) sum dY */
  LogSoftmax: ({ mul, sub, sum, exp }, { node }, dY) => [
    sub(dY, mul(exp(node.outputs[0]!), sum(dY, [intAttribute(node, 'axis', -1)]))),
  ],
  /**
   * y = s h + b with h = (x - mean) r, r = 1 / sqrt(var + epsilon), means over the normalised axes:
   * dX = r (dH - mean dH - h mean(dH h)) with dH = dY s (Ba, Kiros & Hinton, arXiv 1607.06450).
   */
  LayerNormalization: (f, primal, dY) => {
    const { mul, sub, mean } = f
    const [x, s, b] = primal.node.inputs as [string, string, string?]
    const [y, m, r] = primal.node.outputs as [string, string, string]
    const shape = primal.shape(y)
    const first = frontAxis(intAttribute(primal.node, 'axis', -1), shape.length)
    const axes = [...shape.keys()].slice(first)
    const h = mul(sub(x, m), r)
    const dH = mul(dY, s)
    return [
      mul(r, sub(sub(dH, mean(dH, axes)), mul(h, mean(mul(dH, h), axes)))),
      unbroadcast(f, primal, mul(dY, h), shape, s),
      ...(b ? [unbroadcast(f, primal, dY, shape, b)] : []),
    ]
  },
}

function swapLastTwo(rank: number): readonly number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return [...axes.slice(0, -2), rank - 1, rank - 2]
}

/** Repeats `dY` for every element that was reduced into it. */
function spread(f: Formulas, { node, shape, entries }: Primal, dY: string): readonly (string | null)[] {
  const [x, axes] = node.inputs as [string, string?]
  const keepsAxes =
    intAttribute(node, 'keepdims', 1) === 1 || shape(node.outputs[0]!).length === shape(x).length
  // Without axes all were reduced, and a scalar expands directly.
  const kept = keepsAxes || !axes ? dY : f.unsqueeze(dY, entries(axes))
  return [f.expandTo(kept, x, shape(x)), ...(axes === undefined ? [] : [null])]
}

/** Number of elements per mean. */
function reducedCount(f: Formulas, { node, shape }: Primal): string | number {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!]
  const count = quotient(shape(x), shape(y))
  return typeof count === 'number' ? count : f.div(f.cast(f.op('Size', [x])), f.cast(f.op('Size', [y])))
}
