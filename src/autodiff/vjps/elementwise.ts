/**
 * @file VJP rules of elementwise ops. `y` is the output and `dY` its cotangent; inputs are `x`, or `a`, `b`,
 * `c`.
 */

import type { Node } from '#onnx'
import type { Formulas } from '../formulas.ts'
import { unbroadcast } from './unbroadcast.ts'
import type { VjpRule, VjpRules } from './vjp-rule.ts'

interface Unary {
  readonly x: string
  readonly y: string
  readonly dY: string
  readonly node: Node
}

interface Broadcast {
  readonly a: string
  readonly b: string
  readonly y: string
  readonly dY: string
}

const unary =
  (dX: (f: Formulas, values: Unary) => string): VjpRule =>
  (f, { node }, dY) => [dX(f, { x: node.inputs[0]!, y: node.outputs[0]!, dY, node })]

/**
 * Lets a rule be written as if all inputs had the shape of y: each result is summed to the shape of its
 * input.
 */
const broadcasting =
  (dInputs: (f: Formulas, values: Broadcast) => readonly (string | null)[]): VjpRule =>
  (f, primal, dY) => {
    const { inputs, outputs } = primal.node
    const [a = '', b = ''] = inputs
    const y = outputs[0]!
    return dInputs(f, { a, b, y, dY }).map(
      (dInput, i) => dInput && unbroadcast(f, primal, dInput, primal.shape(y), inputs[i]!),
    )
  }

/** Gelu is x Phi(x), Phi the standard normal distribution; its approximation is written with tanh. */
export const elementwise: VjpRules = {
  Add: broadcasting((_, { dY }) => [dY, dY]),
  Sub: broadcasting(({ neg }, { dY }) => [dY, neg(dY)]),
  Mul: broadcasting(({ mul }, { a, b, dY }) => [mul(dY, b), mul(dY, a)]),
  // d(a / b) / db = -y / b
  Div: broadcasting(({ mul, div, neg }, { b, y, dY }) => [div(dY, b), neg(div(mul(dY, y), b))]),
  Where: broadcasting(({ where }, { a: condition, dY }) => [
    null,
    where(condition, dY, 0),
    where(condition, 0, dY),
  ]),

  Identity: unary((_, { dY }) => dY),
  Neg: unary(({ neg }, { dY }) => neg(dY)),
  Sqrt: unary(({ mul, div }, { y, dY }) => div(mul(dY, 0.5), y)),
  Exp: unary(({ mul }, { y, dY }) => mul(dY, y)),
  Log: unary(({ div }, { x, dY }) => div(dY, x)),

  Relu: unary(({ mul, sign }, { y, dY }) => mul(dY, sign(y))), // y >= 0: its sign is the slope
  Sigmoid: unary(({ mul, sub }, { y, dY }) => mul(dY, mul(y, sub(1, y)))),
  Tanh: unary(({ mul, sub }, { y, dY }) => mul(dY, sub(1, mul(y, y)))),
  Softplus: unary(({ mul, sigmoid }, { x, dY }) => mul(dY, sigmoid(x))),
  Gelu: unary((f, { x, dY, node }) => f.mul(dY, isApproximate(node) ? tanhGeluSlope(f, x) : geluSlope(f, x))),
}

function isApproximate({ attributes }: Node): boolean {
  const attribute = attributes.get('approximate')
  return attribute?.type === 'string' && new TextDecoder().decode(attribute.value) === 'tanh'
}

/**
 * Phi(x) + x phi(x), phi the normal density. With u = x / sqrt(2): (1 + erf u) / 2 + u exp(-u^2) / sqrt(pi).
 */
function geluSlope({ add, sub, mul, exp, erf }: Formulas, x: string): string {
  const u = mul(x, Math.SQRT1_2)
  const Phi = add(mul(erf(u), 0.5), 0.5)
  // The factor 1 / sqrt(pi) goes into the exponent: one pass over the tensor less.
  return add(Phi, mul(u, exp(sub(-0.5 * Math.log(Math.PI), mul(u, u)))))
}

/** y = x (1 + t) / 2 with t = tanh(k (x + c x^3)): (1 + t) / 2 + x (1 - t^2) k (1 + 3 c x^2) / 2. */
function tanhGeluSlope({ add, sub, mul, tanh }: Formulas, x: string): string {
  const k = Math.sqrt(2 / Math.PI)
  const c = 0.044715
  const square = mul(x, x)
  const t = tanh(mul(x, add(k, mul(square, k * c))))
  const inner = mul(sub(1, mul(t, t)), add(k / 2, mul(square, 1.5 * k * c)))
  return add(mul(add(t, 1), 0.5), mul(x, inner))
}
