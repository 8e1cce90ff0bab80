/**
 * @file AdamW as formulas: Adam with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101,
 * Algorithm 2).
 */

import type { Formulas } from '../formulas.ts'
import type { TrainingOptions } from '../types.ts'

/** Scalars shared by all parameters in one step, by name. */
export interface AdamScalars {
  readonly lr: string
  /** Factor in (0, 1] by which clipping scales the gradient. */
  readonly clip: string
  /** 1 - beta1^t and 1 - beta2^t, where t counts steps from 1. */
  readonly correction1: string
  readonly correction2: string
}

export interface AdamState {
  readonly parameter: string
  /** First and second moment of the gradient. */
  readonly m: string
  readonly v: string
}

/**
 * Emits one update of one parameter, g its gradient after clipping (PyTorch's AdamW, term by term):
 *
 *   m' = beta1 m + (1 - beta1) g,  v' = beta2 v + (1 - beta2) g^2,
 *   p' = (1 - lr weightDecay) p - lr (m' / correction1) / (sqrt(v' / correction2) + epsilon)
 *
 * Scalars are combined before they multiply a tensor, because every operation saved is one pass less over
 * all parameters: clipping goes into the factors of g and g^2, the correction of the root into the rate and
 * epsilon.
 */
export function emitAdamW(
  f: Formulas,
  { parameter, m, v }: AdamState,
  gradient: string,
  { lr, clip, correction1, correction2 }: AdamScalars,
  { beta1, beta2, epsilon, weightDecay }: TrainingOptions,
): AdamState {
  const { add, sub, mul, div, sqrt } = f
  const ofGradient = mul(1 - beta1, clip)
  const ofSquare = mul(1 - beta2, mul(clip, clip))
  const root = sqrt(correction2)
  const rate = div(mul(lr, root), correction1)

  const nextM = add(mul(m, beta1), mul(gradient, ofGradient))
  const nextV = add(mul(v, beta2), mul(mul(gradient, gradient), ofSquare))
  const step = div(mul(nextM, rate), add(sqrt(nextV), mul(root, epsilon)))
  const decayed = weightDecay === 0 ? parameter : mul(parameter, sub(1, mul(lr, weightDecay)))
  return { parameter: sub(decayed, step), m: nextM, v: nextV }
}
