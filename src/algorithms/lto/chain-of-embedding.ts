/**
 * @file Chain-of-Embedding: scores that need no labels, computed from the path of the hidden states through
 * the layers (Wang et al., arXiv 2410.13640, section 4; normalised as in their released `score.py`).
 *
 * For adjacent states h_l, h_{l+1}:
 * M_l = |h_{l+1} - h_l| / |h_L - h_0| and A_l = angle(h_l, h_{l+1}) / angle(h_0, h_L).
 * Higher is better. The scores are neither probabilities nor bounded: they rank candidates of one question.
 */

import type { LatentThought } from '#ports'

/** CoE-R, the real-space combination: mean over layers of M_l - A_l. */
export function coeReal(thought: LatentThought): number {
  const steps = stepsOf(thought)
  return mean(steps.map(({ magnitude, angle }) => magnitude - angle))
}

/** CoE-C, the complex-space combination: the modulus of the mean over layers of M_l exp(i A_l). */
export function coeComplex(thought: LatentThought): number {
  const steps = stepsOf(thought)
  return Math.hypot(
    mean(steps.map(({ magnitude, angle }) => magnitude * Math.cos(angle))),
    mean(steps.map(({ magnitude, angle }) => magnitude * Math.sin(angle))),
  )
}

/** Normalised M_l and A_l of one step between layers. */
interface Step {
  readonly magnitude: number
  readonly angle: number
}

function stepsOf({ data, layers, width }: LatentThought): readonly Step[] {
  const state = (layer: number) => data.subarray(layer * width, (layer + 1) * width)
  const whole = step(state(0), state(layers - 1))
  return Array.from({ length: layers - 1 }, (_, layer) => {
    const { magnitude, angle } = step(state(layer), state(layer + 1))
    return { magnitude: ratio(magnitude, whole.magnitude), angle: ratio(angle, whole.angle) }
  })
}

function step(from: Float32Array, to: Float32Array): Step {
  // One pass over the states: the thoughts of a request hold a million values for a large model.
  let [product, fromSquared, toSquared, distanceSquared] = [0, 0, 0, 0]
  for (let i = 0; i < from.length; i++) {
    const [a, b] = [from[i]!, to[i]!]
    product += a * b
    fromSquared += a * a
    toSquared += b * b
    distanceSquared += (b - a) * (b - a)
  }
  const cosine = ratio(product, Math.sqrt(fromSquared) * Math.sqrt(toSquared))
  return {
    magnitude: Math.sqrt(distanceSquared),
    // Rounding takes the cosine of parallel states past 1.
    angle: Math.acos(Math.min(1, Math.max(-1, cosine))),
  }
}

/**
 * Ratio with x / 0 = 0: a path that ends where it began has no length to divide by, and must not give a NaN
 * score.
 */
function ratio(value: number, whole: number): number {
  return whole === 0 ? 0 : value / whole
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
