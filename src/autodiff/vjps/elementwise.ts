/** @file Rules of ops that work element by element. `y` is the output, `dY` its cotangent; inputs are `x`, or `a`, `b`, `c`. */

import { DATA_TYPES, type Node } from '#onnx'
import type { Formulas } from '../formulas.ts'
import { unbroadcast } from './unbroadcast.ts'
import { ofFirstOutput, type Primal, type VjpRule, type VjpRules } from './vjp-rule.ts'

interface Unary {
  readonly x: string
  readonly y: string
  readonly dY: string
  readonly primal: Primal
}

interface Broadcast {
  readonly a: string
  readonly b: string
  readonly c: string
  readonly y: string
  readonly dY: string
  readonly primal: Primal
}

const unary = (dX: (f: Formulas, values: Unary) => string | null): VjpRule =>
  ofFirstOutput((f, primal, dY) => {
    const { inputs, outputs } = primal.node
    return [dX(f, { x: inputs[0]!, y: outputs[0]!, dY, primal })]
  })

/** A rule may write as if all inputs had the shape of y: what it returns is summed to the shape of each. */
const broadcasting = (dInputs: (f: Formulas, values: Broadcast) => readonly (string | null)[]): VjpRule =>
  ofFirstOutput((f, primal, dY) => {
    const { inputs, outputs } = primal.node
    const [a = '', b = '', c = ''] = inputs
    const y = outputs[0]!
    return dInputs(f, { a, b, c, y, dY, primal }).map(
      (dInput, i) => dInput && unbroadcast(f, primal, dInput, primal.shape(y), inputs[i]!),
    )
  })

/** float32, float16, float64, bfloat16. */
const FLOATS: ReadonlySet<number> = new Set([DATA_TYPES.float32, DATA_TYPES.float16, DATA_TYPES.float64, 16])

export const arithmetic: VjpRules = {
  Add: broadcasting((_, { dY }) => [dY, dY]),
  Sub: broadcasting(({ neg }, { dY }) => [dY, neg(dY)]),
  Mul: broadcasting(({ mul }, { a, b, dY }) => [mul(dY, b), mul(dY, a)]),
  // d(a / b) / db = -y / b
  Div: broadcasting(({ mul, div, neg }, { b, y, dY }) => [div(dY, b), neg(div(mul(dY, y), b))]),
  // d(a^b) / da = b a^(b - 1), d(a^b) / db = y ln a; the exponent may be of another type.
  Pow: broadcasting(({ mul, pow, sub, log, cast }, { a, b, y, dY, primal }) => {
    const exponent = primal.dataType(b) === primal.dataType(a) ? b : cast(b)
    return [
      mul(dY, mul(exponent, pow(a, sub(exponent, 1)))),
      cast(mul(dY, mul(y, log(a))), primal.dataType(b)),
    ]
  }),
  Where: broadcasting(({ where }, { a: condition, dY }) => [
    null,
    where(condition, dY, 0),
    where(condition, 0, dY),
  ]),

  Identity: unary((_, { dY }) => dY),
  Neg: unary(({ neg }, { dY }) => neg(dY)),
  Abs: unary(({ mul, sign }, { x, dY }) => mul(dY, sign(x))),
  Sqrt: unary(({ mul, div }, { y, dY }) => div(mul(dY, 0.5), y)),
  Exp: unary(({ mul }, { y, dY }) => mul(dY, y)),
  Log: unary(({ div }, { x, dY }) => div(dY, x)),
  // Integers in between stop the gradient.
  Cast: unary(({ cast }, { x, y, dY, primal }) =>
    FLOATS.has(primal.dataType(x)) && FLOATS.has(primal.dataType(y)) ? cast(dY, primal.dataType(x)) : null,
  ),
}

/** Gelu is x Phi(x), Phi the standard normal distribution; the approximation is written with tanh. */
export const activations: VjpRules = {
  Relu: unary(({ mul, sign }, { y, dY }) => mul(dY, sign(y))), // y >= 0: its sign is the slope
  Sigmoid: unary(({ mul, sub }, { y, dY }) => mul(dY, mul(y, sub(1, y)))),
  Tanh: unary(({ mul, sub }, { y, dY }) => mul(dY, sub(1, mul(y, y)))),
  Softplus: unary(({ mul, sigmoid }, { x, dY }) => mul(dY, sigmoid(x))),
  Erf: unary(({ mul, exp, neg }, { x, dY }) => mul(dY, mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x, x)))))),
  Gelu: unary((f, { x, dY, primal }) =>
    f.mul(dY, isApproximate(primal.node) ? tanhGeluSlope(f, x) : geluSlope(f, x)),
  ),
}

function isApproximate({ attributes }: Node): boolean {
  const attribute = attributes.get('approximate')
  return attribute?.type === 'string' && new TextDecoder().decode(attribute.value) === 'tanh'
}

/** Phi(x) + x phi(x), phi the normal density. With u = x / sqrt(2): (1 + erf u) / 2 + u exp(-u^2) / sqrt(pi). */
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
