/** @file Rules of sums, means and what normalises with them. */

import { intAttribute } from '#onnx'
import type { Formulas } from '../formulas.ts'
import { frontAxis, quotient } from '../shapes/sizes.ts'
import { unbroadcast } from './unbroadcast.ts'
import { ofFirstOutput, type Primal, type VjpRules } from './vjp-rule.ts'

export const reduction: VjpRules = {
  ReduceSum: ofFirstOutput((f, primal, dY) => spread(f, primal, dY)),
  ReduceMean: ofFirstOutput((f, primal, dY) => spread(f, primal, f.div(dY, reducedCount(f, primal)))),
}

/** `dY` for every element that went into it. */
function spread(f: Formulas, { node, shape, entries }: Primal, dY: string): readonly (string | null)[] {
  const [x, axes] = node.inputs as [string, string?]
  const keepsAxes =
    intAttribute(node, 'keepdims', 1) === 1 || shape(node.outputs[0]!).length === shape(x).length
  // Without axes all were reduced, and a scalar expands as it is.
  const kept = keepsAxes || !axes ? dY : f.unsqueeze(dY, entries(axes))
  return [f.expandTo(kept, x, shape(x)), ...(axes === undefined ? [] : [null])]
}

/** Elements per mean. */
function reducedCount(f: Formulas, { node, shape }: Primal): string | number {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!]
  const count = quotient(shape(x), shape(y))
  return typeof count === 'number' ? count : f.div(f.cast(f.op('Size', [x])), f.cast(f.op('Size', [y])))
}

export const normalization: VjpRules = {
  /** dX = y (dY - sum dY y) */
  Softmax: ofFirstOutput(({ mul, sub, sum }, { node }, dY) => {
    const y = node.outputs[0]!
    return [mul(y, sub(dY, sum(mul(dY, y), [intAttribute(node, 'axis', -1)])))]
  }),
  /** dX = dY - exp(y) sum dY */
  LogSoftmax: ofFirstOutput(({ mul, sub, sum, exp }, { node }, dY) => [
    sub(dY, mul(exp(node.outputs[0]!), sum(dY, [intAttribute(node, 'axis', -1)]))),
  ]),
  /**
   * y = s h + b with h = (x - mean) r, r = 1 / sqrt(var + epsilon), means over the normalised axes:
   * dX = r (dH - mean dH - h mean(dH h)) with dH = dY s (Ba, Kiros & Hinton, arXiv 1607.06450).
   */
  LayerNormalization: ofFirstOutput((f, primal, dY) => {
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
  }),
}
